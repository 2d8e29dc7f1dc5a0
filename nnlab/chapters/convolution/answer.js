"use strict";
// A drawn digit as the lecture's data have them, and the answers of trained networks to it.
nnlab.digits = {
  SIDE: 8, // pixels
  FINE: 32, // of the bitmap that is counted in blocks of 4 × 4: pixels are 0 … 16

  /**
   * Strokes [[[x, y], …], …] as 8 × 8 pixels. As in the data, a digit fills the height of the bitmap and 20 of its 32 columns, unless
   * it is narrow as a 1 is, whatever its size on the sheet; and it has as much ink as they have on average, also where its line is short.
   */
  pixels: (strokes) => {
    const { SIDE, FINE } = nnlab.digits;
    const [EDGE, WIDE, NARROW, INK, THINNEST, THICKEST] = [2, 20, 0.35, 311, 1.6, 4];
    const points = strokes.flat();
    const counts = Array(SIDE * SIDE).fill(0);
    if (points.length === 0) return counts;
    const [low, high] = [Math.min, Math.max].map((end) => [0, 1].map((k) => end(...points.map((point) => point[k]))));
    const [wide, tall] = [0, 1].map((k) => high[k] - low[k]);
    const down = (FINE - 2 * EDGE) / (tall || 1);
    const across = wide > NARROW * tall ? Math.min((WIDE - 2 * EDGE) / wide, 4 * down) : down;
    const fitted = strokes.map((stroke) => stroke.map(([x, y]) => [
      FINE / 2 + (x - (low[0] + high[0]) / 2) * across, tall ? FINE / 2 + (y - (low[1] + high[1]) / 2) * down : FINE / 2,
    ]));
    const pieces = fitted.flatMap((stroke) => stroke.map((point, i) => [stroke[Math.max(0, i - 1)], point]));
    const distance = (x, y, [[x1, y1], [x2, y2]]) => {
      const [dx, dy] = [x2 - x1, y2 - y1];
      const along = dx || dy ? Math.min(1, Math.max(0, ((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy))) : 0;
      return Math.hypot(x - x1 - along * dx, y - y1 - along * dy);
    };
    const far = Array.from({ length: FINE * FINE }, (_, i) => Math.min(...pieces.map((piece) => distance((i % FINE) + 0.5, Math.floor(i / FINE) + 0.5, piece))));
    const radius = Math.min(THICKEST, Math.max(THINNEST, [...far].sort((a, b) => a - b)[INK - 1]));
    far.forEach((d, i) => { if (d <= radius) counts[SIDE * Math.floor(i / FINE / 4) + Math.floor((i % FINE) / 4)] += 1; });
    return counts;
  },

  /** Gives a network of the page's data its numbers: { name, mean, std, classes, layers }. */
  network: ({ layers, ...more }) => ({
    ...more,
    layers: layers.map((layer) => (layer.weights ? { ...layer, shape: layer.weights.shape, weights: nnlab.floats(layer.weights), bias: nnlab.floats(layer.bias) } : layer)),
  }),

  /** The output of every layer for raw pixels: [{ name, kind, shape, values }], the scores last. */
  answer: ({ mean, std, layers }, pixels) => {
    const { SIDE } = nnlab.digits;
    let [values, shape] = [Float64Array.from(pixels, (v) => (v - mean) / std), [1, SIDE, SIDE]];
    return layers.map((layer) => {
      [values, shape] = nnlab.digits.LAYERS[layer.kind](values, shape, layer);
      return { name: layer.name, kind: layer.kind, shape, values };
    });
  },

  LAYERS: {
    /** Correlates (C, H, W) with filters (F, C, k, k), zeros around it, and adds the biases. */
    convolution: (values, [, rows, columns], { shape: [filters, channels, side], weights, bias, padding }) => {
      const [high, wide] = [rows, columns].map((size) => size + 2 * padding - side + 1);
      const made = new Float64Array(filters * high * wide);
      for (let f = 0, at = 0; f < filters; f++) for (let r = 0; r < high; r++) for (let c = 0; c < wide; c++, at++) {
        let sum = bias[f];
        for (let k = 0; k < channels; k++) for (let i = 0; i < side; i++) for (let j = 0; j < side; j++) {
          const [y, x] = [r + i - padding, c + j - padding];
          if (y >= 0 && y < rows && x >= 0 && x < columns) sum += weights[((f * channels + k) * side + i) * side + j] * values[(k * rows + y) * columns + x];
        }
        made[at] = sum;
      }
      return [made, [filters, high, wide]];
    },

    activation: (values, shape, { function: name }) => [values.map({ relu: (z) => Math.max(0, z), tanh: Math.tanh, sigmoid: (z) => 1 / (1 + Math.exp(-z)) }[name]), shape],

    /** The largest of each 2 × 2 values, with stride 2. */
    pool: (values, [maps, rows, columns]) => {
      const [high, wide] = [rows >> 1, columns >> 1];
      const made = new Float64Array(maps * high * wide);
      for (let m = 0, at = 0; m < maps; m++) for (let r = 0; r < high; r++) for (let c = 0; c < wide; c++, at++) {
        const corner = (m * rows + 2 * r) * columns + 2 * c;
        made[at] = Math.max(values[corner], values[corner + 1], values[corner + columns], values[corner + columns + 1]);
      }
      return [made, [maps, high, wide]];
    },

    linear: (values, shape, { shape: [outputs, inputs], weights, bias }) => [
      Float64Array.from({ length: outputs }, (_, k) => values.reduce((sum, v, j) => sum + weights[k * inputs + j] * v, bias[k])), [outputs],
    ],
  },

  probabilities: (scores) => {
    const top = Math.max(...scores);
    const powers = Array.from(scores, (s) => Math.exp(s - top));
    const total = powers.reduce((sum, p) => sum + p, 0);
    return powers.map((p) => p / total);
  },
};
