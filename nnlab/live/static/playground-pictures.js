"use strict";
// The drawings of the playground. What moves with every frame is drawn on canvases, over and under the axes of the page.
Object.assign(nnlab, {
  /** The colours of the page as [red, green, blue], read once for light paper and once for dark. */
  palette: () => {
    const style = getComputedStyle(document.documentElement);
    const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
    const rgb = (name) => {
      context.fillStyle = style.getPropertyValue(name).trim();
      context.fillRect(0, 0, 1, 1);
      return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
    };
    return {
      classes: Array.from({ length: 8 }, (_, i) => rgb(`--c${i}`)),
      paper: rgb("--paper"), ink: rgb("--ink"), line: rgb("--line"), positive: rgb("--positive"), negative: rgb("--negative"),
    };
  },

  /** A colour between two. */
  mixed: (from, to, share) => from.map((c, i) => Math.round(c + share * (to[i] - c))),

  /** The pixels of a plane of rows × columns numbers, as an image of that size. */
  image: (columns, rows, colour) => {
    const canvas = nnlab.html("canvas", { width: columns, height: rows });
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns, rows);
    for (let r = 0, k = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++, k += 4) {
        const [red, green, blue] = colour(c, rows - 1 - r);
        image.data[k] = red; image.data[k + 1] = green; image.data[k + 2] = blue; image.data[k + 3] = 255;
      }
    }
    context.putImageData(image, 0, 0);
    return canvas;
  },

  /**
   * A plane with axes: an image below, points above. `paint(canvas)` puts an image into it; `svg`, `x` and `y` are
   * as of nnlab.axes.
   */
  plane: (panel, { x, y, label }) => {
    const most = Math.min(panel.clientWidth, 0.62 * innerHeight + 60);
    const axes = nnlab.axes(panel, { x, y, xLabel: "x₁", yLabel: "x₂", label, ratio: 1 });
    axes.svg.classList.add("plane");
    axes.svg.style.maxWidth = `${most}px`;
    const { box, width, height } = axes;
    const under = nnlab.svg("image", {
      x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top, preserveAspectRatio: "none", class: "pixels",
    });
    axes.svg.prepend(under);
    axes.paint = (canvas) => under.setAttribute("href", canvas.toDataURL());
    return axes;
  },

  /** The diagram of a network on one canvas: units as their own responses, weights as lines. */
  diagram: (panel, layers, units) => {
    const canvas = nnlab.html("canvas", { role: "img" });
    panel.replaceChildren(canvas);
    const shown = layers.map((n) => Math.min(n, units));
    const most = Math.max(...shown);
    const width = Math.max(280, panel.clientWidth);
    const gap = 4;
    const side = Math.max(9, Math.min(46, (Math.min(560, 0.6 * innerHeight) - 24) / most - gap, width / layers.length - 30));
    const height = Math.ceil(most * (side + gap) + 28);
    const ratio = Math.min(2, devicePixelRatio || 1);
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    canvas.style.aspectRatio = `${width} / ${height}`;
    const context = canvas.getContext("2d");
    const place = (l, i) => [
      side / 2 + 2 + (l * (width - side - 4)) / Math.max(1, layers.length - 1),
      (height - 24) / 2 + (i - (shown[l] - 1) / 2) * (side + gap),
    ];
    return {
      canvas,
      /** `weights[l]` is { data, shape: [to, from] }, `pictures[l][i]` an image or undefined. */
      draw: (weights, pictures, colours) => {
        context.setTransform(ratio, 0, 0, ratio, 0, 0);
        context.clearRect(0, 0, width, height);
        weights.forEach(({ data, shape: [to, from] }, l) => {
          let largest = 1e-9;
          for (const w of data) if (Math.abs(w) > largest) largest = Math.abs(w);
          for (const sign of [1, -1]) {
            context.strokeStyle = `rgb(${sign > 0 ? colours.positive : colours.negative})`;
            context.setLineDash(sign > 0 ? [] : [5, 3]);
            for (let t = 0; t < Math.min(to, shown[l + 1]); t++) {
              for (let f = 0; f < Math.min(from, shown[l]); f++) {
                const share = (sign * data[t * from + f]) / largest;
                if (!(share > 0.02)) continue;
                const [[x1, y1], [x2, y2]] = [place(l, f), place(l + 1, t)];
                context.globalAlpha = 0.25 + 0.75 * share;
                context.lineWidth = 0.4 + 3.2 * share;
                context.beginPath();
                context.moveTo(x1 + side / 2, y1);
                context.lineTo(x2 - side / 2, y2);
                context.stroke();
              }
            }
          }
        });
        context.setLineDash([]);
        context.globalAlpha = 1;
        context.imageSmoothingEnabled = false;
        context.font = `${Math.max(11, 0.72 * nnlab.em(panel))}px system-ui, "DejaVu Sans", sans-serif`;
        context.textAlign = "center";
        shown.forEach((count, l) => {
          for (let i = 0; i < count; i++) {
            const [x, y] = place(l, i);
            context.fillStyle = `rgb(${colours.paper})`;
            context.fillRect(x - side / 2, y - side / 2, side, side);
            const picture = pictures[l]?.[i];
            if (picture) context.drawImage(picture, x - side / 2, y - side / 2, side, side);
            context.strokeStyle = `rgb(${colours.ink})`;
            context.lineWidth = 1;
            context.strokeRect(x - side / 2, y - side / 2, side, side);
          }
          context.fillStyle = `rgb(${colours.ink})`;
          const said = layers[l] > count ? `${count} of ${layers[l].toLocaleString("en")}` : `${count}`;
          const [x] = place(l, 0);
          context.textAlign = l === 0 ? "left" : l === layers.length - 1 ? "right" : "center";
          context.fillText(said, l === 0 ? 2 : l === layers.length - 1 ? width - 2 : x, height - 6);
        });
      },
    };
  },

  /** A small picture of numbers −127 … 127: a plane in two colours, or a curve. */
  response: (values, shape, colours) => {
    if (shape.length === 2) {
      const [n, m] = shape;
      return nnlab.image(n, m, (i, j) => {
        const v = values[i * m + j];
        return nnlab.mixed(colours.paper, v < 0 ? colours.negative : colours.positive, Math.abs(v) / 127);
      });
    }
    const canvas = nnlab.html("canvas", { width: 64, height: 64 });
    const context = canvas.getContext("2d");
    context.fillStyle = `rgb(${colours.paper})`;
    context.fillRect(0, 0, 64, 64);
    context.strokeStyle = `rgb(${colours.line})`;
    context.strokeRect(0, 32, 64, 0.01);
    context.strokeStyle = `rgb(${colours.ink})`;
    context.lineWidth = 3;
    context.beginPath();
    values.forEach((v, i) => context.lineTo((64 * i) / (values.length - 1), 32 - (28 * v) / 127));
    context.stroke();
    return canvas;
  },

  /**
   * Curves over steps, drawn anew: [{ points: [[x, y]…], name, stroke, dash, measured }].
   */
  curves: (panel, legend, lines, { yLabel = "", label, log = true, marks = [], xLabel = "steps", xLog = false }) => {
    const least = log ? 1e-12 : -Infinity;
    const thin = (points, most = 300) => {
      if (points.length <= most) return points;
      const every = points.length / most;
      return Array.from({ length: most }, (_, i) => points[Math.floor(i * every)]).concat([points.at(-1)]);
    };
    const all = lines.map((line) => ({ ...line, points: thin(line.points.filter(([a, b]) => Number.isFinite(a) && Number.isFinite(b) && b > least && b < 1e12 && (!xLog || a > 0))) }));
    // a prediction that grows without end must not hide what was measured
    const seen = all.filter(({ measured }) => measured).flatMap(({ points }) => points.map(([, b]) => b));
    const most = seen.length ? 1e3 * Math.max(...seen) : Infinity;
    for (const line of all) line.points = line.points.filter(([, b]) => b <= most);
    const ys = all.flatMap(({ points }) => points.map(([, b]) => b));
    const xs = all.flatMap(({ points }) => points.map(([a]) => a));
    if (!ys.length) { panel.replaceChildren(); legend([]); return; }
    const [low, high] = [Math.min(...ys), Math.max(...ys)];
    const y = log ? [Math.max(low / 1.3, high / 1e9), 1.3 * Math.max(high, low)] : [0, 1.08 * high || 1];
    const axes = nnlab.axes(panel, { x: [xLog ? 1 : 0, Math.max(xLog ? 2 : 1, ...xs)], y, xLog, yLog: log, xLabel, yLabel, label, ratio: 0.6 });
    for (const at of marks) nnlab.across(axes, at);
    for (const { points, stroke, dash } of all) {
      const shown = points.filter(([, b]) => b >= y[0]);
      nnlab.line(axes.svg, shown.map(([a, b]) => [axes.x(a), axes.y(b)]), { stroke, "stroke-dasharray": dash, "stroke-width": 2.4 });
    }
    legend(all.filter(({ points }) => points.length).map(({ name, stroke, dash }) => ({ name, stroke, dash })));
  },
});
