"use strict";
// The frame of the page. A widget registers how it is drawn:
//
//   nnlab.widget("steps", (root, data) => {
//     const chart = nnlab.panel(root);                          // drawn anew by each input
//     const says = nnlab.says(root);                            // one sentence: what is to be seen
//     const w = nnlab.slider(root, { label: "steepness w", min: 1, max: 50, step: 1, value: 5 }, draw);
//     function draw() {
//       const { svg, x, y } = nnlab.axes(chart, { x: [0, 1], y: [0, 1], xLabel: "x", label: "a sigmoid" });
//       nnlab.line(svg, points.map(([a, b]) => [x(a), y(b)]), { stroke: nnlab.colours[0] });
//       says(`w = ${nnlab.number(w.value)}: …`);
//     }
//     draw();
//     return draw;                                              // is called again when the width changes
//   });
//
// It is started when its figure comes near the viewport (the first one at once), and before the page is printed.
// Drawings, controls and words each go to an area of their own, which the notes show one below the other and
// the slides side by side. The state of every control is a part of the page's address.
const nnlab = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  // The values of the variables stand in page.css, once for light paper and once for dark.
  const colours = Array.from({ length: 8 }, (_, i) => `var(--c${i})`);
  const paint = Object.fromEntries(["ink", "muted", "line", "paper", "positive", "negative", "good", "bad", "band"]
    .map((name) => [name, `var(--${name})`]));
  const kinds = new Map();
  const RAISED = Object.fromEntries([..."0123456789-"].map((c, i) => [c, [..."⁰¹²³⁴⁵⁶⁷⁸⁹⁻"][i]]));

  // --- elements -------------------------------------------------------------------------------------

  const attributes = (element, values) => {
    for (const [key, value] of Object.entries(values)) {
      if (value !== undefined && value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
    }
    return element;
  };

  /** An SVG element; text is put in as text. */
  const svg = (name, values = {}, parent = null, text = undefined) => {
    const element = attributes(document.createElementNS(SVG, name), values);
    if (text !== undefined) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  };

  /** The same for HTML. */
  const html = (name, values = {}, parent = null, text = undefined) => {
    const element = attributes(document.createElement(name), values);
    if (text !== undefined) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  };

  const AREAS = ["controls", "drawings", "words"];

  /** The area of a figure for drawings, controls or words; an element inside of one as it is. */
  const area = (root, name) => root.querySelector(`:scope > .${name}`) ?? root;

  /** A place to draw in, of its own width. */
  const panel = (root, name = "panel") => html("div", { class: name }, area(root, "drawings"));

  /** Where controls stand side by side. */
  const controls = (root) => area(root, "controls");

  /** Pixels of one em, by which drawings grow with the text. */
  const em = (root) => parseFloat(getComputedStyle(root).fontSize);

  /** The pixels that a drawing may take: its height is that of the screen on a slide, and without bound elsewhere. */
  const room = (panel) => ({
    width: panel.clientWidth || 720,
    height: getComputedStyle(panel).getPropertyValue("--fits") ? Math.max(40, panel.clientHeight) : Infinity,
  });

  // --- numbers --------------------------------------------------------------------------------------

  /** Four digits, a real minus, powers of ten where they are shorter. */
  const number = (value, digits = 4) => {
    if (!Number.isFinite(value)) return value > 0 ? "∞" : value < 0 ? "−∞" : "–";
    const size = Math.abs(value);
    if (size === 0 || (size >= 1e-3 && size < 1e6)) return String(Number(value.toPrecision(digits))).replace("-", "−");
    const [mantissa, power] = value.toExponential(Math.min(digits, 3) - 1).split("e");
    const ten = "10" + String(Number(power)).replace(/./g, (c) => RAISED[c]);
    return { 1: ten, [-1]: "−" + ten }[Number(mantissa)] ?? `${String(Number(mantissa)).replace("-", "−")} × ${ten}`;
  };

  /** From numbers to pixels; `.inverse(pixel)` goes back. */
  const scale = ([low, high], [from, to], log = false) => {
    const [f, g] = log ? [Math.log, Math.exp] : [(v) => v, (v) => v];
    const [a, b] = [f(low), f(high)];
    const place = (value) => (a === b ? (from + to) / 2 : from + ((f(value) - a) / (b - a)) * (to - from));
    place.inverse = (pixel) => g(a + ((pixel - from) / (to - from)) * (b - a));
    return place;
  };

  /** Round numbers between two ends, about `count` of them. */
  const ticks = ([low, high], log = false, count = 5) => {
    if (log) {
      const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
      const every = Math.max(1, Math.ceil((last - first) / count));
      if (last > first) return Array.from({ length: Math.floor((last - first) / every) + 1 }, (_, i) => 10 ** (first + i * every));
    }
    const rough = (high - low) / count || Math.abs(high) || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * (1 - 1e-9)) ?? 10 * power;
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step && found.length < 100; k++) {
      found.push(Number((k * step).toPrecision(12)));
    }
    return found;
  };

  // --- drawing --------------------------------------------------------------------------------------

  /**
   * A new figure with axes in `root`, in place of the one before. `x` and `y` are [low, high]; `label` is
   * its alternative text. Returns the svg, the scales x and y, and the inner box.
   */
  const axes = (root, { x: xs, y: ys, xLog = false, yLog = false, xLabel = "", yLabel = "", label = "", ratio = 0.45, xTicks, yTicks }) => {
    const unit = 0.85 * em(root);
    const most = room(root);
    const width = Math.max(280, Math.min(most.width, 72 * unit));
    const height = most.height < Infinity ? Math.min(most.height, width) : Math.max(15 * unit, Math.min(ratio * width, 30 * unit));
    const box = { left: 4.6 * unit, right: width - 2 * unit, top: (yLabel ? 2 : 0.8) * unit, bottom: height - (xLabel ? 3.2 : 1.8) * unit };
    const figure = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
    const [x, y] = [scale(xs, [box.left, box.right], xLog), scale(ys, [box.bottom, box.top], yLog)];
    for (const value of yTicks || ticks(ys, yLog)) {
      svg("line", { x1: box.left, x2: box.right, y1: y(value), y2: y(value), class: "grid" }, figure);
      svg("text", { x: box.left - 0.5 * unit, y: y(value) + 0.35 * unit, "text-anchor": "end" }, figure, number(value));
    }
    for (const value of xTicks || ticks(xs, xLog, width < 30 * unit ? 3 : 6)) {
      svg("line", { x1: x(value), x2: x(value), y1: box.bottom, y2: box.bottom + 0.3 * unit, class: "tick" }, figure);
      svg("text", { x: x(value), y: box.bottom + 1.4 * unit, "text-anchor": "middle" }, figure, number(value));
    }
    svg("line", { x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom, class: "tick" }, figure);
    svg("text", { x: (box.left + box.right) / 2, y: height - 0.6 * unit, "text-anchor": "middle" }, figure, xLabel);
    svg("text", { x: 0.2 * unit, y: unit }, figure, yLabel);
    root.replaceChildren(figure);
    return { svg: figure, x, y, box, width, height, unit };
  };

  /** A line through pixels; a point that is not finite breaks it. */
  const line = (parent, points, values = {}) => {
    let path = "", pen = "M";
    for (const [a, b] of points) {
      if (Number.isFinite(a) && Number.isFinite(b)) {
        path += `${pen}${a.toFixed(1)} ${b.toFixed(1)}`;
        pen = "L";
      } else pen = "M";
    }
    return svg("path", { d: path, fill: "none", stroke: colours[0], "stroke-width": "0.13em", "stroke-linejoin": "round", ...values }, parent);
  };

  // --- controls -------------------------------------------------------------------------------------

  let count = 0;

  const states = new WeakMap();

  /**
   * Makes a part of the figure's state a part of the page's address: `get()` is its text, empty at the start,
   * and `set(text)` takes it back. The controls of the frame do so by themselves.
   */
  const keep = (root, label, { get, set }) => {
    const figure = root.closest("figure");
    if (!figure) return;
    if (!states.has(figure)) states.set(figure, new Map());
    const kept = states.get(figure);
    const name = label.normalize("NFKD").toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "") || "value";
    let key = name;
    for (let i = 2; kept.has(key); i++) key = `${name}-${i}`;
    kept.set(key, { get, set });
  };

  /** The state of a figure, key -> text, without what is as at the start. */
  const stateOf = (figure) => Object.fromEntries([...states.get(figure) ?? []]
    .map(([key, { get }]) => [key, get()]).filter(([, text]) => text !== ""));

  /** Sets what an address says of a figure; what it does not name, and what cannot be, stays. */
  const setState = (figure, values) => {
    for (const [key, { set }] of states.get(figure) ?? []) {
      if (key in values) set(values[key]);
    }
  };

  /** Keeps the value of an input; `event` is the one by which it tells of a change. */
  const keepInput = (root, label, input, event) => {
    const start = input.value;
    keep(root, label, {
      get: () => (input.value === start ? "" : input.value),
      set: (text) => {
        input.value = text;
        input.dispatchEvent(new Event(event, { bubbles: true }));
      },
    });
  };

  /**
   * A labelled slider. `text(value)` says its value in words, a bar stands at the value `mark`; the result's
   * `.value` is a number and can be set.
   */
  const slider = (root, { label, min, max, step = 1, value = min, text = number, mark }, onInput) => {
    const id = `slider${count++}`;
    const row = html("div", { class: "slider" }, area(root, "words"));
    html("label", { for: id }, row, label);
    const input = html("input", { type: "range", id, min, max, step, value }, row);
    const shown = html("output", { for: id }, row);
    if (mark !== undefined) { // the thumb, 16px wide, is inside of the track at both ends
      const share = (mark - min) / (max - min);
      html("i", { class: "mark", style: `margin-left: calc(${100 * share}% + ${8 - 16 * share}px - 0.125rem)` }, row);
    }
    const tell = () => {
      shown.textContent = text(input.valueAsNumber);
      input.setAttribute("aria-valuetext", shown.textContent);
    };
    input.addEventListener("input", () => { tell(); onInput(input.valueAsNumber); });
    keepInput(root, label, input, "input");
    tell();
    return {
      input,
      get value() { return input.valueAsNumber; },
      set value(next) { input.value = next; tell(); },
    };
  };

  /** A labelled choice among [value, words] pairs or plain strings. */
  const choice = (root, { label, options, value }, onChange) => {
    const row = html("label", {}, controls(root), label);
    const select = html("select", {}, row);
    for (const option of options) {
      const [key, words] = Array.isArray(option) ? option : [option, option];
      html("option", { value: key }, select, words);
    }
    if (value !== undefined) select.value = value;
    select.addEventListener("change", () => onChange(select.value));
    keepInput(root, label, select, "change");
    return select;
  };

  /** A labelled check box. */
  const check = (root, { label, checked = false }, onChange) => {
    const row = html("label", {}, controls(root));
    const box = html("input", { type: "checkbox" }, row);
    row.append(label);
    box.checked = checked;
    box.addEventListener("change", () => onChange(box.checked));
    keep(root, label, {
      get: () => (box.checked === checked ? "" : String(box.checked)),
      set: (text) => {
        box.checked = text === "true";
        box.dispatchEvent(new Event("change", { bubbles: true }));
      },
    });
    return box;
  };

  /** A labelled text field. `onInput(text)` returns what is wrong with the text, which is said below, or nothing. */
  const field = (root, { label, value = "", width = 16 }, onInput) => {
    const row = html("div", { class: "field" }, area(root, "controls"));
    const id = `field${count++}`;
    html("label", { for: id }, row, label);
    const input = html("input", { type: "text", id, value, size: width, spellcheck: "false", autocomplete: "off", "aria-describedby": `${id}wrong` }, row);
    const wrong = html("p", { class: "wrong", id: `${id}wrong`, role: "alert" }, row);
    input.addEventListener("input", () => {
      const message = onInput(input.value) ?? "";
      wrong.textContent = message;
      input.setAttribute("aria-invalid", String(message !== ""));
    });
    keepInput(root, label, input, "input");
    return input;
  };

  /**
   * A mark that is dragged, or moved by the arrow keys. All in the coordinates of the drawing, which may be
   * drawn anew by each move: `onMove(x, y)` by the pointer, `keys(dx, dy)` with −1, 0 or 1 (ten with shift)
   * to the right and upwards. `value` is the number that it stands for, `text` says it in words.
   */
  const handle = (svgRoot, { x, y, label, value = 0, text = number(value), onMove, keys, fill = colours[1], r = 0.36 * em(svgRoot.parentElement) }) => {
    const panel = svgRoot.parentElement;
    svgRoot.setAttribute("role", "group"); // an image holds nothing that can be focused
    const again = () => panel.querySelector(`[data-handle="${CSS.escape(label)}"]`)?.focus({ preventScroll: true });
    const mark = svg("g", {
      class: "handle", tabindex: 0, role: "slider", "aria-label": label, "aria-valuenow": value, "aria-valuetext": text, "data-handle": label,
    }, svgRoot);
    svg("circle", { cx: x, cy: y, r: Math.max(2 * r, 22), fill: "transparent" }, mark);
    svg("circle", { cx: x, cy: y, r, fill, class: "knob" }, mark);
    const moved = (event) => {
      const drawing = panel.querySelector("svg");
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.getScreenCTM().inverse());
      onMove(at.x, at.y);
      panel.dispatchEvent(new Event("input", { bubbles: true }));
    };
    mark.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      const end = new AbortController();
      addEventListener("pointermove", moved, { signal: end.signal });
      for (const last of ["pointerup", "pointercancel"]) addEventListener(last, () => { end.abort(); again(); }, { signal: end.signal });
      again();
    });
    mark.addEventListener("keydown", (event) => {
      const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key] ?? [0, 0];
      if (dx === 0 && dy === 0) return;
      event.preventDefault();
      event.stopPropagation();
      const factor = event.shiftKey ? 10 : 1;
      keys(factor * dx, factor * dy);
      panel.dispatchEvent(new Event("input", { bubbles: true }));
      again();
    });
    return mark;
  };

  /** A button. */
  const button = (root, label, onClick) => {
    const made = html("button", { type: "button" }, controls(root), label);
    made.addEventListener("click", onClick);
    return made;
  };

  /** What is to be seen, read out when it changes: a sentence, or [colour, words] for each line of a drawing. */
  const says = (root) => {
    const output = html("output", { class: "says", "aria-live": "polite" }, area(root, "words"));
    return (text) => {
      if (typeof text === "string") { output.textContent = text; return; }
      output.replaceChildren(...text.map(([colour, words]) => {
        const row = html("span", { class: "key" });
        html("i", { style: `background: ${colour}` }, row);
        row.append(words);
        return row;
      }));
    };
  };

  // --- copy -----------------------------------------------------------------------------------------

  const told = (text) => { document.getElementById("told").textContent = text; };

  /** Puts the text beside a button on the clipboard, or selects it where a browser does not allow that. */
  const copy = async (button) => {
    const text = button.parentElement.querySelector("pre");
    try {
      await navigator.clipboard.writeText(text.textContent);
      told("Copied.");
    } catch {
      getSelection().selectAllChildren(text);
      told("Selected: copy it with the keyboard.");
    }
  };

  // --- start ----------------------------------------------------------------------------------------

  const redraws = new WeakMap();

  const start = (figure) => {
    if (figure.dataset.started) return;
    figure.dataset.started = "yes";
    const root = figure.querySelector(".stage");
    for (const name of AREAS) html("div", { class: name }, root);
    const { kind } = figure.dataset;
    const draw = kinds.get(kind) ?? kinds.get(kind.split("-")[0]); // "guess-loss" is one of the kind "guess"
    const data = figure.querySelector("script[type='application/json']");
    try {
      const redraw = draw(root, JSON.parse(data.textContent));
      root.dataset.drawn = "yes";
      performance.mark("first figure");
      if (typeof redraw !== "function") return;
      redraws.set(figure, redraw);
      const size = () => `${root.clientWidth} ${getComputedStyle(root).display === "grid" ? root.clientHeight : ""}`;
      let before = size();
      new ResizeObserver(() => {
        if (root.clientWidth === 0 || size() === before) return;
        before = size();
        redraw();
      }).observe(root);
    } catch (error) {
      root.textContent = "This figure cannot be drawn.";
      console.error(figure.dataset.kind, error);
    }
  };

  const startAll = () => {
    const folded = document.documentElement.dataset.reading === "slides" ? [] : document.querySelectorAll("details");
    folded.forEach((part) => { part.open = true; });
    document.querySelectorAll("figure.widget").forEach(start);
  };

  /** Draws every figure anew, for a size that has changed just now. */
  const redrawAll = () => document.querySelectorAll("figure.widget").forEach((figure) => redraws.get(figure)?.());

  document.addEventListener("DOMContentLoaded", () => {
    const near = new IntersectionObserver((seen) => {
      for (const { isIntersecting, target } of seen) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        start(target);
      }
    }, { rootMargin: "600px 0px" });
    document.querySelectorAll("figure.widget").forEach((figure, i) => (i === 0 ? start(figure) : near.observe(figure)));
    follow();
    document.querySelectorAll("button.copy").forEach((button) => button.addEventListener("click", () => copy(button)));
  });
  /** Marks in the contents where the reader is. */
  const follow = () => {
    const here = new IntersectionObserver((seen) => {
      for (const { isIntersecting, target } of seen) {
        const link = document.querySelector(`nav a[href="#${target.id}"]`);
        if (isIntersecting) link?.setAttribute("aria-current", "true");
        else link?.removeAttribute("aria-current");
      }
    }, { rootMargin: "-15% 0px -80% 0px" });
    document.querySelectorAll("main > section, main article").forEach((part) => here.observe(part));
    document.querySelector("nav").dataset.follows = "";
  };

  window.addEventListener("beforeprint", startAll);
  matchMedia("print").addEventListener("change", ({ matches }) => { if (matches) startAll(); });

  return {
    widget: (kind, draw) => {
      if (kinds.has(kind)) console.error(`two figures are called ${kind}`);
      kinds.set(kind, draw);
    },
    colours, paint, svg, html, area, panel, controls, em, room, number, scale, ticks, axes, line, slider, choice, check, button, field,
    handle, keep, says, start, startAll, redrawAll, stateOf, setState, told,
  };
})();
