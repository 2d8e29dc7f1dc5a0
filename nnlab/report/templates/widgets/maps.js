"use strict";
// What each layer of a trained network makes of an image: activation maps, or units.
// data: {looks: [{name, picture: row by column by colour, layers: [{name, values, chosen}]}], filters, classes}
nnlab.widget("maps", (root, { looks, filters, classes }) => {
  const name = (look) => look.name.replace(/^test(\d+)$/, "test image $1");
  const choice = nnlab.choice(root, { label: "image", options: looks.map((look, i) => [i, name(look)]) }, draw);
  const [picture, maps] = nnlab.panels(root, 2);
  const layer = nnlab.slider(root, { label: "layer", min: 0, max: looks[0].layers.length - 1, value: 0, text: (i) => looks[0].layers[i].name }, draw);
  const says = nnlab.says(root);
  const isMap = (values) => Array.isArray(values[0]);

  function image(look) {
    const [rows, columns] = [look.picture.length, look.picture[0].length];
    const sheet = nnlab.sheet(picture, { title: name(look), columns, rows, most: 260 });
    nnlab.pixels(sheet.svg, rows, columns, (r, c) => {
      const [red, green = red, blue = red] = look.picture[r][c];
      return [red, green, blue].map((v) => Math.round(255 * Math.min(1, Math.max(0, v))));
    }, { x: 0, y: sheet.top, width: columns * sheet.cell });
  }

  function drawMaps({ name: of, values, chosen }) {
    const columns = Math.min(4, values.length);
    const [rows, wide] = [values[0].length, values[0][0].length];
    const withFilters = layer.value === 0 && chosen && filters[0]?.length === 1;
    const high = 0.88 * (rows / wide) + (withFilters ? 0.48 : 0.06); // of a cell, in widths of one, beside its title
    const sheet = nnlab.sheet(maps, { label: `${values.length} maps of ${of}`, columns, rows: Math.ceil(values.length / columns) * (high + 0.24), most: 560 });
    const across = 0.88 * sheet.cell;
    const strongest = Math.max(...values.flat(2).map(Math.abs)) || 1;
    const largest = Math.max(...filters.flat(3).map(Math.abs)) || 1;
    values.forEach((map, k) => {
      const [x, y] = [(k % columns) * sheet.cell, Math.floor(k / columns) * sheet.cell * (high + 0.24) + 0.2 * sheet.cell];
      nnlab.svg("text", { x, y: y - 0.05 * sheet.cell }, sheet.svg, `map ${chosen ? chosen[k] : k + 1}`);
      const used = nnlab.pixels(sheet.svg, rows, wide, (r, c) => nnlab.signed(map[r][c] / strongest), { x, y, width: across });
      if (!withFilters) return;
      const filter = filters[chosen[k] - 1][0];
      nnlab.pixels(sheet.svg, filter.length, filter[0].length, (r, c) => nnlab.signed(filter[r][c] / largest), { x, y: y + used + 0.04 * sheet.cell, width: 0.38 * sheet.cell });
    });
    return withFilters;
  }

  function drawUnits({ name: of, values }, names) {
    const [least, most] = [Math.min(0, ...values), Math.max(0, ...values)];
    const { svg, x, y, box, unit } = nnlab.axes(maps, { x: [-0.5, values.length - 0.5], y: [least, most], xTicks: [], ratio: 0.6, xLabel: names ? "class" : "unit", label: `${values.length} numbers of ${of}` });
    values.forEach((v, k) => {
      nnlab.svg("rect", { x: x(k - 0.4), width: x(k + 0.4) - x(k - 0.4), y: Math.min(y(0), y(v)), height: Math.abs(y(v) - y(0)), fill: v < 0 ? "#D55E00" : "#0072B2" }, svg);
      if (names && values.length <= 12) nnlab.svg("text", { x: x(k), y: box.bottom + 1.2 * unit, "text-anchor": "middle" }, svg, names[k].slice(0, 5));
    });
  }

  function draw() {
    const look = looks[choice.value];
    const shown = look.layers[Math.min(layer.value, look.layers.length - 1)];
    image(look);
    if (isMap(shown.values)) {
      const withFilters = drawMaps(shown);
      let best = { value: -Infinity };
      shown.values.forEach((map, k) => map.forEach((line, r) => line.forEach((value, c) => { if (value > best.value) best = { value, k, r, c }; })));
      const number = shown.chosen ? shown.chosen[best.k] : best.k + 1;
      says(`${shown.name}: ${shown.values.length} maps of ${shown.values[0].length} × ${shown.values[0][0].length} numbers, those that vary most. `
        + `The strongest answer is ${nnlab.number(best.value, 3)}, of map ${number}, at row ${best.r + 1}, column ${best.c + 1}. Blue is above 0, orange below.${withFilters ? " Below each map stands its filter." : ""}`);
      return;
    }
    const scores = shown.values.length === classes.length && shown === look.layers[look.layers.length - 1];
    drawUnits(shown, scores ? classes : null);
    const best = shown.values.indexOf(Math.max(...shown.values));
    if (scores) {
      const total = shown.values.reduce((sum, v) => sum + Math.exp(v - shown.values[best]), 0);
      says(`${shown.name}: the scores. The largest is that of class ${classes[best]}; the softmax gives it the probability ${nnlab.number(1 / total, 3)}.`);
    } else says(`${shown.name}: ${shown.values.length} units; the largest is unit ${best + 1} with ${nnlab.number(shown.values[best], 3)}.`);
  }
  draw();
  return draw;
});
