"use strict";
// The output of each layer of a trained network for an image: activation maps, or units.
// data: {looks: [{name, picture: row by column by colour, layers}], filters, classes}, where a layer is
//        {name, maps: packed, chosen: their numbers, strongest: {value, at}} or {name, values: one a unit}
nnlab.widget("maps", (root, { looks, filters, classes }) => {
  const name = (look) => look.name.replace(/^test(\d+)$/, "test image $1");
  const choice = nnlab.choice(root, { label: "image", options: looks.map((look, i) => [i, name(look)]) }, draw);
  const [picture, maps] = nnlab.panels(root, 2);
  const layer = nnlab.slider(root, { label: "layer", min: 0, max: looks[0].layers.length - 1, value: 0, text: (i) => looks[0].layers[i].name }, draw);
  const says = nnlab.says(root);

  function image(look) {
    const [rows, columns] = [look.picture.length, look.picture[0].length];
    const sheet = nnlab.sheet(picture, { title: name(look), columns, rows, most: 260 });
    nnlab.pixels(sheet.svg, rows, columns, (r, c) => {
      const [red, green = red, blue = red] = look.picture[r][c];
      return [red, green, blue].map((v) => Math.round(255 * Math.min(1, Math.max(0, v))));
    }, { x: 0, y: sheet.top, width: columns * sheet.cell });
  }

  function drawMaps({ name: of, maps: layerMaps, chosen }) {
    const [values, [count, rows, wide]] = [nnlab.unpacked(layerMaps), layerMaps.shape];
    const columns = Math.min(4, count);
    const withFilters = layer.value === 0 && [1, 3].includes(filters[0]?.length);
    const high = 0.88 * (rows / wide) + (withFilters ? 0.48 : 0.06); // of a cell, in widths of one, beside its title
    const sheet = nnlab.sheet(maps, { label: `${count} maps of ${of}`, columns, rows: Math.ceil(count / columns) * (high + 0.34), most: 560 });
    const across = 0.88 * sheet.cell;
    const largest = Math.max(...filters.flat(3).map(Math.abs)) || 1;
    chosen.forEach((number, k) => {
      const [x, y] = [(k % columns) * sheet.cell, Math.floor(k / columns) * sheet.cell * (high + 0.34) + 0.3 * sheet.cell];
      nnlab.svg("text", { x, y: y - 0.05 * sheet.cell }, sheet.svg, `map ${number}`);
      const used = nnlab.pixels(sheet.svg, rows, wide, (r, c) => nnlab.signed(values[(k * rows + r) * wide + c] / layerMaps.scale), { x, y, width: across });
      if (!withFilters || !filters[number - 1]) return;
      const filter = filters[number - 1]; // channel by row by column: of one channel in blue and orange, of three in colour
      const colour = filter.length === 1
        ? (r, c) => nnlab.signed(filter[0][r][c] / largest) : (r, c) => filter.map((plane) => Math.round(127.5 + (127 * plane[r][c]) / largest));
      nnlab.pixels(sheet.svg, filter[0].length, filter[0][0].length, colour, { x, y: y + used + 0.04 * sheet.cell, width: 0.38 * sheet.cell });
    });
    return withFilters;
  }

  function drawUnits({ name: of, values }, names) {
    const [least, most] = [Math.min(0, ...values), Math.max(0, ...values)];
    const { svg, x, y, box, unit } = nnlab.axes(maps, { x: [-0.5, values.length - 0.5], y: [least, most], xTicks: [], ratio: 0.6, xLabel: names ? "class" : "unit", label: `${values.length} numbers of ${of}` });
    values.forEach((v, k) => {
      nnlab.svg("rect", { x: x(k - 0.4), width: x(k + 0.4) - x(k - 0.4), y: Math.min(y(0), y(v)), height: Math.abs(y(v) - y(0)), fill: v < 0 ? nnlab.paint.negative : nnlab.paint.positive }, svg);
      if (names && values.length <= 12) nnlab.svg("text", { x: x(k), y: box.bottom + 1.2 * unit, "text-anchor": "middle" }, svg, names[k].slice(0, 5));
    });
  }

  function draw() {
    const look = looks[choice.value];
    const current = look.layers[Math.min(layer.value, look.layers.length - 1)];
    image(look);
    if (current.maps) {
      const withFilters = drawMaps(current);
      const [count, rows, columns] = current.maps.shape;
      const { value, at: [map, row, column] } = current.strongest;
      says(`${current.name}: ${count} maps of ${rows} × ${columns} numbers, those that vary most. The strongest response is ${nnlab.number(value, 3)}, `
        + `of map ${current.chosen[map]}, at row ${row + 1}, column ${column + 1}. Blue is above 0, orange below.${withFilters ? " Its filter is below each map." : ""}`);
      return;
    }
    const scores = current.values.length === classes.length && current === look.layers[look.layers.length - 1];
    drawUnits(current, scores ? classes : null);
    const best = current.values.indexOf(Math.max(...current.values));
    if (scores) {
      const total = current.values.reduce((sum, v) => sum + Math.exp(v - current.values[best]), 0);
      says(`${current.name}: the scores. The largest is that of class ${classes[best]}; the softmax gives it the probability ${nnlab.number(1 / total, 3)}.`);
    } else says(`${current.name}: ${current.values.length} units; the largest is unit ${best + 1} with ${nnlab.number(current.values[best], 3)}.`);
  }
  draw();
  return draw;
});
