"use strict";
// A digit is drawn; the trained networks on this page answer at once, each with its templates or maps, scores and probabilities.
// data: {network: {name, mean, std, classes, layers}, examples: [{name, pixels: 64 numbers 0 … 16}]}
nnlab.widget("digit", (root, { network: own, examples }) => {
  const { SIDE, pixels: pixelsOf, network: unpacked, answer, probabilities } = nnlab.digits;
  const [OWN, GRID, FULL] = ["own", 36, 16]; // GRID: places of the pen each way
  // The softmax regression's figure and the convolutional network's, if both are here, show each other's answer.
  const others = [...document.querySelectorAll("figure[data-kind='digit'] > script[type='application/json']")].map((script) => JSON.parse(script.textContent).network);
  const networks = [...new Map([own, ...others].map((network) => [network.name, network])).values()].sort((a, b) => a.layers.length - b.layers.length).map(unpacked);
  const deep = networks.find((network) => network.layers.some((layer) => layer.kind === "convolution"));

  let [strokes, isDown, pen, waits] = [[], false, [18, 18], false];
  const which = nnlab.choice(root, { label: "image", options: [...examples.map((one, i) => [i, one.name]), [OWN, "my drawing"]] }, () => { draw(); });
  nnlab.button(root, "clear", () => { strokes = []; which.value = OWN; draw(); });
  const [left, right] = nnlab.panels(root, 2, 20);
  const svg = nnlab.svg("svg", {}, left);
  const results = nnlab.svg("svg", { role: "img" }, right);
  const shown = deep ? nnlab.slider(root, {
    label: "maps of layer", min: 0, max: deep.layers.findLastIndex((layer) => layer.kind !== "linear"), value: 1, text: (i) => deep.layers[i].name,
  }, draw) : null;
  nnlab.legend(root, [{ name: "score above 0", fill: nnlab.paint.positive }, { name: "below 0", fill: nnlab.paint.negative }, { name: "probability", fill: nnlab.paint.good }]);
  const says = nnlab.says(root);

  const digit = (v) => Math.min(GRID - 1, Math.max(0, Math.round(v))).toString(GRID);
  nnlab.keep(root, "strokes", {
    get: () => (which.value !== OWN ? [] : strokes).map((stroke) => stroke.flat().map(digit).join("")).join("_"),
    set: (text) => {
      if (!/^[0-9a-z_]*$/.test(text)) return;
      strokes = text.split("_").filter(Boolean).map((part) => part.match(/../g).map((pair) => [...pair].map((c) => parseInt(c, GRID))));
      which.value = OWN;
      draw();
    },
  });

  // --- the pen --------------------------------------------------------------------------------------

  const changed = () => {
    svg.dispatchEvent(new Event("input", { bubbles: true }));
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => { waits = false; draw(); });
  };
  const begin = (at) => {
    if (which.value !== OWN) [strokes, which.value] = [[], OWN];
    strokes.push([at]);
    pen = at;
    changed();
  };
  const follow = (at) => {
    const last = strokes.at(-1).at(-1);
    if (Math.hypot(at[0] - last[0], at[1] - last[1]) < 0.7 || strokes.flat().length > 600) return;
    strokes.at(-1).push(at);
    pen = at;
    changed();
  };
  const place = (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const { x, y, size } = sheet;
    return [at.x - x, at.y - y].map((v) => Math.min(GRID - 1, Math.max(0, (v / size) * (GRID + 2) - 1.5)));
  };
  const sheet = { x: 0, y: 0, size: 100 };
  const pad = nnlab.svg("g", { tabindex: 0, role: "application", class: "pad" }, svg);
  pad.style.touchAction = "none";
  pad.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    pad.focus({ preventScroll: true });
    begin(place(event));
    const end = new AbortController();
    addEventListener("pointermove", (moved) => follow(place(moved)), { signal: end.signal });
    for (const last of ["pointerup", "pointercancel"]) addEventListener(last, () => end.abort(), { signal: end.signal });
  });
  pad.addEventListener("keydown", (event) => {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    if (event.key === " ") {
      isDown = !isDown;
      if (isDown) begin(pen);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      [strokes, isDown, which.value] = [[], false, OWN];
    } else if (dx || dy) {
      const far = event.shiftKey ? 4 : 1;
      const to = [pen[0] + far * dx, pen[1] + far * dy].map((v) => Math.min(GRID - 1, Math.max(0, v)));
      if (isDown) follow(to);
      pen = to;
    } else return;
    event.preventDefault();
    event.stopPropagation();
    changed();
  });
  for (const name of ["focus", "blur"]) pad.addEventListener(name, () => { isDown = false; changed(); });

  // --- the drawing ----------------------------------------------------------------------------------

  const current = () => (which.value === OWN ? pixelsOf(strokes) : examples[which.value].pixels);
  const grey = (v) => Array(3).fill(Math.round(255 * (1 - v / FULL)));

  /** The sheet with the strokes, and the pixels beside or below it. */
  function drawSheet(pixels) {
    const [unit, room] = [0.85 * nnlab.em(left), nnlab.room(left)];
    const isWide = room.height === Infinity ? room.width > 16 * unit : room.width > room.height;
    const size = Math.min(isWide ? (room.width - 1.2 * unit - 4) / 2 : room.width - 4, isWide ? Math.min(room.height - 1.8 * unit, 20 * unit) : (room.height - 3.6 * unit) / 2, 20 * unit);
    const [width, height] = isWide ? [2 * size + 1.2 * unit + 4, size + 1.8 * unit] : [size + 4, 2 * size + 3.6 * unit];
    svg.setAttribute("viewBox", `-2 0 ${width} ${height}`);
    Object.assign(svg.style, { width: `${width}px`, maxWidth: "100%", margin: "0 auto" });
    Object.assign(sheet, { x: 0, y: 1.5 * unit, size });
    pad.setAttribute("aria-label", `sheet to draw on; arrow keys move the pen, space lowers or lifts it: it is ${isDown ? "down" : "up"}`);
    pad.replaceChildren();
    nnlab.svg("text", { x: 0, y: unit }, pad, "draw here");
    nnlab.svg("rect", { x: 0, y: sheet.y, width: size, height: size, class: "node" }, pad);
    const px = (v) => ((v + 1.5) / (GRID + 2)) * size; // the rim has room for half a line
    if (which.value === OWN) {
      for (const stroke of strokes) {
        nnlab.svg("path", {
          d: stroke.map(([x, y], i) => `${i ? "L" : "M"}${px(x)} ${sheet.y + px(y)}`).join("") + (stroke.length === 1 ? "h0.1" : ""), fill: "none", stroke: "var(--ink)", "stroke-width": size / 10, "stroke-linecap": "round", "stroke-linejoin": "round",
        }, pad);
      }
    }
    if (document.activeElement === pad) {
      nnlab.svg("circle", { cx: px(pen[0]), cy: sheet.y + px(pen[1]), r: size / 24, fill: isDown ? nnlab.colours[1] : "none", stroke: nnlab.colours[1], "stroke-width": 3 }, pad);
    }
    while (svg.lastChild !== pad) svg.lastChild.remove(); // the pad itself stays, and keeps the focus
    const [x, y] = isWide ? [size + 1.2 * unit, 1.5 * unit] : [0, size + 3.3 * unit];
    const seen = nnlab.svg("g", { role: "img", "aria-label": "the 8 × 8 pixels that the networks get" }, svg);
    nnlab.svg("text", { x, y: y - 0.5 * unit }, seen, "8 × 8 pixels, 0 to 16");
    nnlab.pixels(seen, SIDE, SIDE, (r, c) => grey(pixels[SIDE * r + c]), { x, y, width: size });
    const cell = size / SIDE;
    if (cell > 1.3 * unit) {
      pixels.forEach((v, i) => nnlab.svg("text", {
        x: x + (i % SIDE + 0.5) * cell, y: y + (Math.floor(i / SIDE) + 0.5) * cell, "text-anchor": "middle", "dominant-baseline": "central", class: v > FULL / 2 ? "on-dark" : "on-colour",
      }, seen, v));
    }
  }

  /** Bars of scores and of probabilities over the classes, from y on; returns their height. */
  function bars(y, unit, cell, { classes }, scores, shares) {
    const [high, low] = [3 * unit, 2.2 * unit];
    const size = Math.max(...Array.from(scores, Math.abs)) || 1;
    const most = Math.max(0, ...scores) / size;
    const zero = y + (most > 0 ? (high * most) / (most + Math.max(0, -Math.min(...scores)) / size || 1) : 0);
    const span = (most > 0 ? zero - y : high) / (most > 0 ? most : 1);
    const best = scores.indexOf(Math.max(...scores));
    scores.forEach((score, k) => {
      const length = (Math.abs(score) / size) * span;
      nnlab.svg("rect", { x: (k + 0.15) * cell, width: 0.7 * cell, y: score > 0 ? zero - length : zero, height: length, fill: score > 0 ? nnlab.paint.positive : nnlab.paint.negative }, results);
      nnlab.svg("rect", { x: (k + 0.15) * cell, width: 0.7 * cell, y: y + high + 0.4 * unit + low * (1 - shares[k]), height: low * shares[k], fill: nnlab.paint.good }, results);
      nnlab.svg("text", { x: (k + 0.5) * cell, y: y + high + low + 1.5 * unit, "text-anchor": "middle", style: k === best ? "font-weight: bold" : null }, results, classes[k]);
    });
    for (const line of [zero, y + high + low + 0.4 * unit]) nnlab.svg("line", { x1: 0, x2: cell * classes.length, y1: line, y2: line, class: "tick" }, results);
    return high + low + 1.9 * unit;
  }

  function drawAnswers(pixels) {
    const [unit, room] = [0.85 * nnlab.em(right), nnlab.room(right)];
    const width = Math.min(room.width, 30 * unit);
    results.replaceChildren();
    let y = 0;
    const found = networks.map((network) => {
      const layers = answer(network, pixels);
      const scores = layers.at(-1).values;
      const shares = probabilities(scores);
      const best = shares.indexOf(Math.max(...shares));
      const cell = width / network.classes.length;
      nnlab.svg("text", { x: 0, y: y + 1.1 * unit, style: "font-weight: bold" }, results, `${network.name}: ${network.classes[best]}, ${percent(shares[best])}`);
      y += 1.6 * unit;
      if (network.layers.length === 1) {
        const { weights, shape: [outputs, inputs] } = network.layers[0];
        const scale = Math.max(...weights.map(Math.abs));
        for (let k = 0; k < outputs; k++) nnlab.pixels(results, SIDE, SIDE, (r, c) => nnlab.signed(weights[k * inputs + SIDE * r + c] / scale), { x: (k + 0.04) * cell, y, width: 0.92 * cell });
        y += cell + 0.2 * unit;
      } else if (network === deep) {
        const { values, shape: [maps, rows, columns] } = layers[shown.value];
        const across = maps > 16 ? 16 : 8;
        const scale = Math.max(...values.map(Math.abs)) || 1;
        const side = Math.min(width / across, (room.height - y - 8 * unit) / Math.ceil(maps / across), 3 * unit);
        for (let m = 0; m < maps; m++) {
          nnlab.pixels(results, rows, columns, (r, c) => nnlab.signed(values[(m * rows + r) * columns + c] / scale), { x: (m % across) * side, y: y + Math.floor(m / across) * side, width: 0.92 * side });
        }
        y += Math.ceil(maps / across) * side + 0.2 * unit;
      }
      y += bars(y, unit, cell, network, [...scores], shares) + 0.4 * unit;
      return [network.classes[best], shares[best], scores[best]];
    });
    results.setAttribute("viewBox", `-2 0 ${width + 4} ${y}`);
    Object.assign(results.style, { width: `${width + 4}px`, maxWidth: "100%", margin: "0 auto" });
    results.setAttribute("aria-label", networks.map(({ name }, i) => `${name}: ${found[i][0]}`).join("; "));
    return found;
  }

  const percent = (share) => (share > 0.9999 ? "100%" : share < 0.01 ? `${nnlab.number(100 * share, 2)}%` : `${(100 * share).toFixed(share > 0.99 ? 1 : 0)}%`);

  function draw() {
    const pixels = current();
    drawSheet(pixels);
    const found = drawAnswers(pixels);
    const drawn = pixels.some((v) => v > 0);
    says(!drawn ? "Draw a digit with the mouse, a finger, or the arrow keys and space."
      : networks.map(({ name }, i) => `${name[0].toUpperCase()}${name.slice(1)}: ${found[i][0]} with probability ${percent(found[i][1])}, score ${nnlab.number(found[i][2], 3)}.`).join(" "));
  }
  draw();
  return draw;
});
