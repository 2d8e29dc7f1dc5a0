"use strict";
// Pooling: one number of each 2 × 2 of a map, with stride 2. The numbers can be typed.
// data: {values: row by row}
nnlab.widget("pool", (root, { values: start }) => {
  const [side, LARGEST] = [start.length, 999];
  const kind = nnlab.choice(root, { label: "of each window", options: [["max", "the largest"], ["mean", "the mean"]] }, draw);
  const write = (rows) => rows.map((row) => row.join(" ")).join(" / ");
  let values = start.map((row) => [...row]);
  const typed = nnlab.field(root, { label: "map, row by row", value: write(start), width: 26 }, (text) => {
    const rows = text.split("/").map((row) => row.trim().split(/\s+/).map((v) => Number(v.replace("−", "-"))));
    if (rows.length !== side || rows.some((row) => row.length !== side)) return `${side} rows of ${side} numbers, with / between the rows`;
    if (rows.flat().some((v) => !Number.isFinite(v) || Math.abs(v) > LARGEST)) return `numbers from −${LARGEST} to ${LARGEST}`;
    values = rows;
    draw();
    return "";
  });
  const [before, after] = nnlab.panels(root, 2, 14);
  const window = nnlab.slider(root, { label: "window", min: 1, max: (side / 2) ** 2, value: 1 }, draw);
  const says = nnlab.says(root);
  const tint = (k, share) => `color-mix(in srgb, ${nnlab.colours[[0, 1, 2, 7][k % 4]]} ${share}%, var(--paper))`;
  const block = (r, c) => Math.floor(r / 2) * (side / 2) + Math.floor(c / 2);
  const inside = (k) => [0, 1].flatMap((i) => [0, 1].map((j) => [2 * Math.floor(k / (side / 2)) + i, 2 * (k % (side / 2)) + j]));
  const pooled = (k) => {
    const found = inside(k).map(([r, c]) => values[r][c]);
    return kind.value === "max" ? Math.max(...found) : found.reduce((sum, v) => sum + v, 0) / 4;
  };

  function cellOf({ svg, cell, top, unit }, r, c, value, fill, values2 = {}) {
    const group = nnlab.svg("g", values2, svg);
    nnlab.svg("rect", { x: c * cell + 1, y: top + r * cell + 1, width: cell - 2, height: cell - 2, fill, class: "frame cell", style: `fill: ${fill}` }, group);
    nnlab.svg("text", { x: (c + 0.5) * cell, y: top + (r + 0.5) * cell, "text-anchor": "middle", "dominant-baseline": "central", style: `font-size: ${Math.max(unit, Math.min(0.42 * cell, 2.2 * unit))}px` }, group, nnlab.number(value));
    return group;
  }

  /** Sets a number of the map by the keyboard: up and down by 1, a digit writes it, − changes its sign. */
  function edit(event, r, c) {
    const value = values[r][c];
    const next = { ArrowUp: value + 1, ArrowDown: value - 1, "-": -value, Backspace: Math.trunc(value / 10) }[event.key]
      ?? (/^[0-9]$/.test(event.key) ? (event.currentTarget.dataset.typed ? 10 * value : 0) + (value < 0 ? -1 : 1) * Number(event.key) : undefined);
    const [right, moves] = [{ ArrowLeft: -1, ArrowRight: 1 }[event.key], before];
    if (right) {
      event.preventDefault();
      event.stopPropagation();
      moves.querySelector(`[data-cell="${(r * side + c + right + side * side) % (side * side)}"]`).focus();
    }
    if (next === undefined || Math.abs(next) > LARGEST) return;
    event.preventDefault();
    event.stopPropagation();
    values[r][c] = next;
    typed.value = write(values);
    typed.dispatchEvent(new Event("input", { bubbles: true }));
    const again = before.querySelector(`[data-cell="${r * side + c}"]`);
    if (/^[0-9]$/.test(event.key)) again.dataset.typed = "yes";
    again.focus();
  }

  function draw() {
    const chosen = window.value - 1;
    const first = nnlab.sheet(before, { title: `a map, ${side} × ${side}`, columns: side, rows: side, most: 380 });
    first.svg.setAttribute("role", "group");
    values.forEach((row, r) => row.forEach((value, c) => {
      const k = block(r, c);
      const isTaken = kind.value === "max" && value === pooled(k);
      const group = cellOf(first, r, c, value, tint(k, isTaken ? 55 : 18), {
        tabindex: r + c === 0 ? 0 : -1, role: "spinbutton", "aria-label": `row ${r + 1}, column ${c + 1}`, "aria-valuenow": value, "aria-valuemin": -LARGEST, "aria-valuemax": LARGEST, "data-cell": r * side + c, class: "editable",
      });
      if (isTaken) group.querySelector("text").style.fontWeight = "bold";
      group.addEventListener("keydown", (event) => edit(event, r, c));
      group.addEventListener("pointerdown", (event) => { event.preventDefault(); group.focus(); });
    }));
    const frame = (sheet, r, c, size) => nnlab.svg("rect", { x: c * sheet.cell, y: sheet.top + r * sheet.cell, width: size * sheet.cell, height: size * sheet.cell, fill: "none", class: "ink", "stroke-width": 4, "pointer-events": "none" }, sheet.svg);
    const half = side / 2;
    frame(first, 2 * Math.floor(chosen / half), 2 * (chosen % half), 2);
    const second = nnlab.sheet(after, { title: `after pooling, ${half} × ${half}`, columns: side, rows: side, most: 380 });
    const large = { ...second, cell: 2 * second.cell };
    for (let k = 0; k < half * half; k++) cellOf(large, Math.floor(k / half), k % half, pooled(k), tint(k, 55));
    frame(large, Math.floor(chosen / half), chosen % half, 1);

    const numbers = inside(chosen).map(([r, c]) => nnlab.number(values[r][c])).join(", ");
    const ties = inside(chosen).filter(([r, c]) => values[r][c] === pooled(chosen)).length;
    says(kind.value === "max"
      ? `Window ${chosen + 1}: the largest of ${numbers} is ${nnlab.number(pooled(chosen))}. Its gradient goes back to ${ties > 1 ? "one of the largest" : "that number"} alone; ${side * side} numbers became ${half * half}.`
      : `Window ${chosen + 1}: the mean of ${numbers} is ${nnlab.number(pooled(chosen))}. Its gradient goes back in four equal parts; ${side * side} numbers became ${half * half}.`);
  }
  draw();
  return draw;
});
