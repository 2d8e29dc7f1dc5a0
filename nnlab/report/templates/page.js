"use strict";
// Curves of training: one line per run and split, and a slider that reads the values at a step.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#5E3C99", "#4D4D4D", "#8C510A", "#E69F00"];
  const DASHES = ["", "8 3", "2 3", "8 3 2 3"];
  const BOX = { width: 760, height: 320, left: 70, right: 15, top: 12, bottom: 40 };

  const element = (name, attributes, parent, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  };

  const number = (value) => {
    const text = Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3)
      ? value.toExponential(2) : String(Number(value.toPrecision(4)));
    return text.replace(/-/g, "−");
  };

  const scale = (low, high, from, to, log) => {
    const f = log ? Math.log : (x) => x;
    const [a, b] = [f(low), f(high)];
    const place = (x) => (a === b ? (from + to) / 2 : from + ((f(x) - a) / (b - a)) * (to - from));
    place.inverse = (share) => (log ? Math.exp(a + share * (b - a)) : a + share * (b - a));
    return place;
  };

  const ticks = (low, high, log) => {
    if (log) {
      const found = [];
      for (let power = Math.ceil(Math.log10(low) - 1e-9); 10 ** power <= high * (1 + 1e-9); power++) found.push(10 ** power);
      if (found.length > 1) return found.filter((_, i) => i % Math.ceil(found.length / 7) === 0);
    }
    const rough = (high - low) / 5 || Math.abs(high) || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
    const found = [];
    for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + 1e-9 * step; value += step) found.push(Number(value.toPrecision(12)));
    return found;
  };

  document.querySelectorAll(".curves").forEach((figure) => {
    const curves = JSON.parse(document.getElementById(figure.dataset.curves).textContent);
    const select = figure.querySelector("select");
    const [logX, logY] = [figure.querySelector(".log-x"), figure.querySelector(".log-y")];
    const slider = figure.querySelector("input[type=range]");
    const output = figure.querySelector("output");
    const plot = figure.querySelector(".plot");
    for (const metric of Object.keys(curves)) select.append(new Option(metric, metric));
    if ("loss" in curves) select.value = "loss";

    const draw = () => {
      const lines = curves[select.value].map((line, i) => {
        const points = [];
        for (let k = 0; k < line.points.length; k += 2) points.push([line.points[k], line.points[k + 1]]);
        const kept = points.filter(([x, y]) => (!logX.checked || x > 0) && (!logY.checked || y > 0));
        return { name: line.name, points: kept, colour: COLOURS[i % COLOURS.length], dash: DASHES[Math.floor(i / COLOURS.length) % DASHES.length] };
      }).filter((line) => line.points.length > 0);
      plot.replaceChildren();
      if (lines.length === 0) {
        output.textContent = "no value is above 0: a logarithmic scale has no place for them";
        return;
      }
      const xs = lines.flatMap((line) => line.points.map((p) => p[0]));
      const ys = lines.flatMap((line) => line.points.map((p) => p[1]));
      const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
      const x = scale(x0, x1, BOX.left, BOX.width - BOX.right, logX.checked);
      const y = scale(y0, y1, BOX.height - BOX.bottom, BOX.top, logY.checked);
      const svg = element("svg", { viewBox: `0 0 ${BOX.width} ${BOX.height}`, role: "img", "aria-label": `${select.value} over steps` }, null);
      for (const value of ticks(y0, y1, logY.checked)) {
        element("line", { x1: BOX.left, x2: BOX.width - BOX.right, y1: y(value), y2: y(value), stroke: "#d9d9d9" }, svg);
        element("text", { x: BOX.left - 8, y: y(value) + 5, "text-anchor": "end" }, svg, number(value));
      }
      for (const value of ticks(x0, x1, logX.checked)) {
        element("text", { x: x(value), y: BOX.height - BOX.bottom + 20, "text-anchor": "middle" }, svg, number(value));
      }
      element("text", { x: (BOX.left + BOX.width) / 2, y: BOX.height - 2, "text-anchor": "middle" }, svg, "step");
      for (const line of lines) {
        const path = line.points.map(([a, b], k) => `${k ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
        element("path", { d: path, fill: "none", stroke: line.colour, "stroke-width": 2.2, "stroke-dasharray": line.dash }, svg);
      }
      const at = x.inverse(slider.value / slider.max);
      element("line", { class: "cursor", x1: x(at), x2: x(at), y1: BOX.top, y2: BOX.height - BOX.bottom, stroke: "#222", "stroke-dasharray": "3 3" }, svg);
      const read = [];
      for (const line of lines) {
        let found = line.points[0];
        for (const point of line.points) if (point[0] <= at * (1 + 1e-9)) found = point;
        element("circle", { cx: x(found[0]), cy: y(found[1]), r: 4.5, fill: line.colour }, svg);
        read.push(`${line.name}: ${number(found[1])} at step ${number(found[0])}`);
      }
      plot.append(svg);
      slider.setAttribute("aria-valuetext", `step ${number(at)}`);
      output.textContent = read.join("\n");
    };
    for (const control of [select, logX, logY]) control.addEventListener("change", draw);
    slider.addEventListener("input", draw);
    draw();
  });
  window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
})();
