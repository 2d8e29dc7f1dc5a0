"use strict";
// The scores Wx + b of an image of four pixels. data: {pixels, weights, biases, names, constant}
nnlab.widget("scores", (root, { pixels, weights, biases, names, constant: absorbed }) => {
  const { scores, softmax } = nnlab.classification;
  const LARGEST = 3; // of a weight
  const [x, W, b] = [[...pixels], weights.map((row) => [...row]), [...biases]];
  const start = [x, ...W, b].flat().join("_");
  const places = [ // every number that can be changed
    ...x.map((_, i) => ({ name: `pixel ${i + 1}`, list: x, i, low: 0, high: 1 })),
    ...W.flatMap((row, k) => row.map((_, i) => ({ name: `weight of pixel ${i + 1} for ${names[k]}`, list: row, i, k, low: -LARGEST, high: LARGEST }))),
    ...b.map((_, k) => ({ name: `bias of ${names[k]}`, list: b, i: k, k, low: -LARGEST, high: LARGEST })),
  ];
  const chosen = nnlab.choice(root, { label: "number", options: places.map(({ name }, i) => [i, name]), value: 0 }, () => choose(Number(chosen.value)));
  const constant = nnlab.check(root, { label: "bias as a fifth weight", checked: absorbed }, draw);
  const chart = nnlab.panel(root);
  const slider = nnlab.slider(root, { label: "its value", min: -LARGEST, max: LARGEST, step: 0.1, value: x[0] }, (value) => {
    const { list, i, low, high } = places[chosen.value];
    list[i] = Math.min(high, Math.max(low, value));
    draw();
  });
  const says = nnlab.says(root);
  nnlab.keep(root, "numbers", {
    get: () => { const now = [x, ...W, b].flat().join("_"); return now === start ? "" : now; },
    set: (text) => {
      const values = text.split("_").map(Number);
      if (values.length !== places.length || !values.every((v, i) => v >= places[i].low && v <= places[i].high)) return;
      places.forEach((place, i) => { place.list[place.i] = values[i]; });
      choose(Number(chosen.value));
    },
  });

  const choose = (index) => {
    chosen.value = index;
    const { list, i, low } = places[index];
    slider.input.min = low; // a pixel is between 0 and 1
    slider.input.max = places[index].high;
    slider.value = list[i];
    draw();
  };

  function draw() {
    const s = scores(W, x, b);
    const winner = s.indexOf(Math.max(...s));
    const one = constant.checked;
    const room = nnlab.room(chart);
    const unit = 0.85 * nnlab.em(chart);
    const width = Math.min(room.width, 60 * unit);
    const narrow = width < 36 * unit;
    const columns = x.length + (one ? 1 : 0) + 1 + (one ? 0 : 1) + 1.3 + (narrow ? 0 : 2);
    const gaps = (4.2 + 0.8 + (one ? 0 : 1.5) + 1.5 + (narrow ? 0 : 1)) * unit;
    const cell = Math.min((width - gaps - 4) / columns, 5 * unit);
    const high = Math.max(2 * unit, 0.75 * cell);
    const head = 1.8 * unit;
    const rows = x.length + (one ? 1 : 0);
    const above = narrow ? 2 * cell + unit : 0;
    const height = above + head + Math.max(rows * high, narrow ? 0 : 2 * cell) + 4;
    const svg = nnlab.svg("svg", { viewBox: `-2 -2 ${width} ${height}`, role: "img", "aria-label": `scores ${names.map((name, k) => `${name} ${nnlab.number(s[k], 3)}`).join(", ")}` });
    svg.style.maxWidth = `${width}px`;
    chart.replaceChildren(svg);
    const text = (left, top, words, more = {}) => nnlab.svg("text", { x: left, y: top + 0.35 * unit, "text-anchor": "middle", ...more }, svg, words);
    const box = (left, top, w, h, value, { fill, dark, index, strong }) => {
      const at = nnlab.svg("rect", { x: left, y: top, width: w - 3, height: h - 3, class: "frame", style: fill ? `fill: ${fill}` : "", rx: 3 }, svg);
      if (strong || Number(chosen.value) === index) { at.setAttribute("class", "ink"); at.setAttribute("stroke-width", 3); at.setAttribute("fill", fill ?? "none"); }
      const shown = text(left + (w - 3) / 2, top + (h - 3) / 2, nnlab.number(value, 3), { class: fill ? (dark ? "on-dark" : "on-colour") : "" });
      if (index === undefined) return;
      for (const part of [at, shown]) {
        part.style.cursor = "pointer";
        part.addEventListener("click", () => { choose(index); chart.dispatchEvent(new Event("input", { bubbles: true })); });
      }
    };
    const grey = (value) => ({ fill: `rgb(${Array(3).fill(Math.round(255 * value))})`, dark: value < 0.5 });
    const signed = (value) => ({ fill: `rgb(${nnlab.signed(value / LARGEST)})`, dark: Math.abs(value) > 0.75 * LARGEST && value > 0 });
    const middle = above + head + (height - 4 - above - head) / 2;

    // the image, then W, x, b and the scores from left to right
    x.forEach((value, i) => box((i % 2) * cell, (narrow ? 0 : middle - cell) + Math.floor(i / 2) * cell, cell, cell, value, { ...grey(value), index: i }));
    let left = narrow ? 0 : 2 * cell + unit;
    const top = middle - (W.length * high) / 2;
    names.forEach((name, k) => text(left + 3.9 * unit, top + (k + 0.5) * high, name, { "text-anchor": "end" }));
    left += 4.2 * unit;
    const title = (words, w, of) => text(left + w / 2, middle - (of * high) / 2 - 0.8 * unit, words);
    title(one ? "(W b)" : "W", (x.length + (one ? 1 : 0)) * cell, W.length);
    W.forEach((row, k) => [...row, ...(one ? [b[k]] : [])].forEach((value, i) => {
      const index = i < x.length ? x.length + k * x.length + i : x.length * (1 + W.length) + k;
      box(left + i * cell, top + k * high, cell, high, value, { ...signed(value), index });
    }));
    left += (x.length + (one ? 1 : 0)) * cell + 0.8 * unit;
    title("x", cell, rows);
    [...x, ...(one ? [1] : [])].forEach((value, i) => box(left, middle - (rows * high) / 2 + i * high, cell, high, value, { ...grey(value), index: i < x.length ? i : undefined }));
    left += cell;
    if (!one) {
      text(left + 0.7 * unit, middle, "+");
      left += 1.5 * unit;
      title("b", cell, W.length);
      b.forEach((value, k) => box(left, top + k * high, cell, high, value, { ...signed(value), index: x.length * (1 + W.length) + k }));
      left += cell;
    }
    text(left + 0.7 * unit, middle, "=");
    left += 1.5 * unit;
    title("scores", 1.3 * cell, W.length);
    s.forEach((value, k) => box(left, top + k * high, 1.3 * cell, high, value, { strong: k === winner }));

    const k = places[chosen.value].k ?? winner;
    const terms = [...x.map((v, i) => [W[k][i], v]), [b[k], one ? 1 : null]];
    const words = terms.map(([w, v], i) => `${i === 0 ? (w < 0 ? "−" : "") : w < 0 ? " − " : " + "}${nnlab.number(Math.abs(w), 2)}${v === null ? "" : `·${nnlab.number(v, 2)}`}`).join("");
    says(`Score of ${names[k]}: ${words} = ${nnlab.number(s[k], 3)}. The largest is that of ${names[winner]}; the softmax makes P(${names[0]}) = ${nnlab.number(softmax(s)[0], 2)}.`);
  }
  choose(0);
  return draw;
});
