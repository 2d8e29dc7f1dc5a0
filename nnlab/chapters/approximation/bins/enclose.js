"use strict";
// Proved bounds on a function of x over an interval, in JavaScript: intervals of numbers, rounded outward.
//
//   const f = nnlab.enclosure("0.5 + sin(2*pi*x)/4");   // or nnlab.polyline([y₀, y₁, …]) on [0, 1]
//   f.range(0.2, 0.4)        // [low, high]: every value of f on [0.2, 0.4] lies between them
//   f.lipschitz()            // L with |f(x) − f(y)| ≤ L|x − y| on [0, 1]; infinite where there is none
//
// Sums, products, quotients and roots are correctly rounded (IEEE 754), so that one more step outward suffices.
// A browser's sine, exponential, … need not be: GUARD allows 16 units in the last place, where those in use err by
// less than one. An interval over which f is seen to be monotone has the range of its ends; others are cut in two.
(() => {
  const GUARD = 2 ** -49, STEP = 2 ** -52, TINY = 2 ** -1074;
  const down = (v, guard = STEP) => (v === Infinity ? Number.MAX_VALUE : v - Math.abs(v) * guard - TINY); // Infinity is an overflow here
  const up = (v, guard = STEP) => -down(-v, guard);
  const ALL = [-Infinity, Infinity];

  /** An interval; one that holds no number, or whose ends overflowed into NaN, counts as everything. */
  const made = (low, high) => (low <= high ? [low, high] : ALL);
  const hull = (...all) => made(Math.min(...all.map((v) => v[0])), Math.max(...all.map((v) => v[1])));

  const add = (a, b) => made(down(a[0] + b[0]), up(a[1] + b[1]));
  const negative = (a) => [-a[1], -a[0]];
  const subtract = (a, b) => add(a, negative(b));
  const product = (u, v) => (u === 0 || v === 0 ? 0 : u * v); // 0 times a value without bound is 0: the bound is never reached
  const multiply = (a, b) => {
    const all = [product(a[0], b[0]), product(a[0], b[1]), product(a[1], b[0]), product(a[1], b[1])];
    return made(down(Math.min(...all)), up(Math.max(...all)));
  };
  const divide = (a, b) => {
    if (b[0] <= 0 && b[1] >= 0) return ALL;
    return multiply(a, made(down(1 / b[1]), up(1 / b[0])));
  };
  const point = (v) => [v, v];
  const ONE = point(1), ZERO = point(0);

  /** The range of a function that rises, over the part of an interval where it is defined; all numbers where that is not all. */
  const rising = (f, a, { least = -Infinity, most = Infinity, guard = GUARD } = {}) => (
    a[0] < least || a[1] > most ? ALL : made(down(f(a[0]), guard), up(f(a[1]), guard)));

  /** The sine, with ±1 where a crest or a trough may lie in the interval. */
  const sine = (a, shift = 0) => {
    if (!(a[1] - a[0] < 6)) return [-1, 1];
    const holds = (at) => { // at + 2πk in the interval, or within 1e-9 of it
      const k = Math.ceil((a[0] - 1e-9 - at) / (2 * Math.PI));
      return at + 2 * Math.PI * k <= a[1] + 1e-9;
    };
    const f = shift ? Math.cos : Math.sin;
    const ends = [f(a[0]), f(a[1])];
    return made(
      holds(-Math.PI / 2 - shift) ? -1 : Math.max(-1, down(Math.min(...ends), GUARD)),
      holds(Math.PI / 2 - shift) ? 1 : Math.min(1, up(Math.max(...ends), GUARD)),
    );
  };
  const cosine = (a) => sine(a, Math.PI / 2);
  const absolute = (a) => (a[0] >= 0 ? a : a[1] <= 0 ? negative(a) : [0, Math.max(-a[0], a[1])]);
  const squareRoot = (a) => (a[0] < 0 ? ALL : made(Math.max(0, down(Math.sqrt(a[0]))), up(Math.sqrt(a[1]))));
  const exponential = (a) => made(Math.max(0, down(Math.exp(a[0]), GUARD)), up(Math.exp(a[1]), GUARD));

  /** x^n of a whole number n > 0 by products, an even one over |x|. */
  const positivePower = (a, n) => {
    if (n > 64) return n % 2 ? rising((v) => v ** n, a, { guard: 2 ** -40 }) : rising((v) => v ** n, absolute(a), { guard: 2 ** -40 });
    const of = (v, round) => {
      let result = 1;
      for (let i = 0; i < n; i++) result = round(result * v);
      return result;
    };
    const upTo = (v) => (v >= 0 ? of(v, up) : n % 2 ? -of(-v, down) : of(-v, up));
    const downTo = (v) => (v >= 0 ? of(v, down) : n % 2 ? -of(-v, up) : of(-v, down));
    const base = n % 2 ? a : absolute(a);
    return made(n % 2 ? downTo(base[0]) : Math.max(0, downTo(base[0])), upTo(base[1]));
  };
  const power = (a, n) => (n === 0 ? ONE : n > 0 ? positivePower(a, n) : divide(ONE, positivePower(a, -n)));
  const logistic = (x) => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x)));
  const sigmoid = (a) => made(Math.max(0, down(logistic(a[0]), 4 * GUARD)), Math.min(1, up(logistic(a[1]), 4 * GUARD)));
  const softplus = (a) => rising((x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))), a, { guard: 4 * GUARD });
  const hyperbolic = (a) => { // cosh
    const [low, high] = absolute(a);
    return made(Math.max(1, down(Math.cosh(low), GUARD)), up(Math.cosh(high), GUARD));
  };
  const tanh = (a) => rising(Math.tanh, a);
  const log = (a) => (a[0] > 0 ? rising(Math.log, a) : ALL);
  const scaledLog = (f) => (a) => (a[0] > 0 ? rising(f, a) : ALL);
  const oneMinusSquare = (a) => subtract(ONE, positivePower(a, 2));
  const realPower = (a, p) => (a[0] < 0 || (a[0] === 0 && p < 0) ? ALL : exponential(multiply(point(p), a[0] > 0 ? log(a) : made(-Infinity, a[1] > 0 ? up(Math.log(a[1]), GUARD) : -Infinity))));
  const jumps = (f) => [(a) => made(f(a[0]), f(a[1])), (v) => [v[0] === v[1] ? ZERO : ALL]];
  const kink = (a, below, above) => (a[0] > 0 ? above : a[1] < 0 ? below : hull(below, above));

  // operation -> its range; its derivatives over arguments with the range v: one for each argument.
  const OPERATIONS = {
    add: [add, () => [ONE, ONE]],
    subtract: [subtract, () => [ONE, point(-1)]],
    multiply: [multiply, (v, a, b) => [b, a]],
    divide: [divide, (v, a, b) => [divide(ONE, b), negative(divide(v, b))]],
    negative: [negative, () => [point(-1)]],
    integer_power: [power, (v, a, n) => [n === 0 ? ZERO : multiply(point(n), power(a, n - 1))]],
    real_power: [(a, p) => realPower(a, p.value), (v, a, p) => [multiply(point(p.value), realPower(a, p.value - 1))]],
    power: [(a, b) => (a[0] > 0 ? exponential(multiply(b, log(a))) : ALL), (v, a, b) => [multiply(v, divide(b, a)), multiply(v, log(a))]],
    sin: [(a) => sine(a), (v, a) => [cosine(a)]],
    cos: [cosine, (v, a) => [negative(sine(a))]],
    tan: [(a) => divide(sine(a), cosine(a)), (v) => [add(ONE, positivePower(v, 2))]],
    exp: [exponential, (v) => [v]],
    log: [log, (v, a) => [divide(ONE, a)]],
    sqrt: [squareRoot, (v) => [divide(ONE, add(v, v))]],
    tanh: [tanh, (v) => [oneMinusSquare(v)]],
    sigmoid: [sigmoid, (v) => [multiply(v, subtract(ONE, v))]],
    log10: [scaledLog(Math.log10), (v, a) => [divide(made(down(Math.LOG10E), up(Math.LOG10E)), a)]],
    log2: [scaledLog(Math.log2), (v, a) => [divide(made(down(Math.LOG2E), up(Math.LOG2E)), a)]],
    log1p: [(a) => (a[0] > -1 ? rising(Math.log1p, a) : ALL), (v, a) => [divide(ONE, add(ONE, a))]],
    expm1: [(a) => rising(Math.expm1, a), (v, a) => [exponential(a)]],
    sinh: [(a) => rising(Math.sinh, a), (v, a) => [hyperbolic(a)]],
    cosh: [hyperbolic, (v, a) => [rising(Math.sinh, a)]],
    asinh: [(a) => rising(Math.asinh, a), (v, a) => [divide(ONE, squareRoot(add(ONE, positivePower(a, 2))))]],
    arctan: [(a) => rising(Math.atan, a), (v, a) => [divide(ONE, add(ONE, positivePower(a, 2)))]],
    arcsin: [(a) => rising(Math.asin, a, { least: -1, most: 1 }), (v, a) => [divide(ONE, squareRoot(oneMinusSquare(a)))]],
    arccos: [(a) => negative(rising((x) => -Math.acos(x), a, { least: -1, most: 1 })), (v, a) => [negative(divide(ONE, squareRoot(oneMinusSquare(a))))]],
    cbrt: [(a) => rising(Math.cbrt, a), (v) => [divide(ONE, multiply(point(3), positivePower(v, 2)))]],
    softplus: [softplus, (v, a) => [sigmoid(a)]],
    abs: [absolute, (v, a) => [kink(a, point(-1), ONE)]],
    relu: [(a) => made(Math.max(0, a[0]), Math.max(0, a[1])), (v, a) => [kink(a, ZERO, ONE)]],
    maximum: [(a, b) => made(Math.max(a[0], b[0]), Math.max(a[1], b[1])), (v, a, b) => (a[0] > b[1] ? [ONE, ZERO] : b[0] > a[1] ? [ZERO, ONE] : [[0, 1], [0, 1]])],
    minimum: [(a, b) => made(Math.min(a[0], b[0]), Math.min(a[1], b[1])), (v, a, b) => (a[1] < b[0] ? [ONE, ZERO] : b[1] < a[0] ? [ZERO, ONE] : [[0, 1], [0, 1]])],
    floor: jumps(Math.floor),
    ceil: jumps(Math.ceil),
    signum: jumps(Math.sign),
    less: [(a, b) => (a[1] < b[0] ? ONE : a[0] >= b[1] ? ZERO : [0, 1]), () => [ZERO, ZERO]],
    less_equal: [(a, b) => (a[1] <= b[0] ? ONE : a[0] > b[1] ? ZERO : [0, 1]), () => [ZERO, ZERO]],
    where: [(c, a, b) => (c[0] === 1 ? a : c[1] === 0 ? b : hull(a, b)), (v, c) => (c[0] === 1 ? [ZERO, ONE, ZERO] : c[1] === 0 ? [ZERO, ZERO, ONE] : [ZERO, ALL, ALL])],
  };
  const CHOSEN = new Set(["maximum", "minimum"]); // their slope is one of the two, not a sum of parts

  const constant = (node) => {
    const value = node.exact ? node.exact.value : { pi: Math.PI, e: Math.E }[node.parameter];
    return node.exact?.d === 1n && Number.isSafeInteger(value) ? point(value) : made(down(value), up(value));
  };

  /** Range and slope of an expression of x over [a, b]. */
  const evaluate = ({ nodes }, a, b) => {
    const [values, slopes] = [[], []];
    for (const node of nodes) {
      if (node.operation === "variable") { values.push(made(a, b)); slopes.push(ONE); continue; }
      if (node.exact || node.operation === "constant") { values.push(constant(node)); slopes.push(ZERO); continue; }
      const [range, derivatives] = OPERATIONS[node.operation];
      const inputs = [...node.arguments.map((i) => values[i]), ...(node.parameter === null ? [] : [node.parameter])];
      const value = range(...inputs);
      const local = node.arguments.every((i) => slopes[i] === ZERO) ? null : derivatives(value, ...inputs);
      values.push(value);
      if (local === null) { slopes.push(ZERO); continue; }
      const parts = node.arguments.map((i, k) => (slopes[i] === ZERO ? ZERO : multiply(local[k], slopes[i])));
      const undecided = CHOSEN.has(node.operation) && local[0] !== ONE && local[0] !== ZERO;
      if (undecided || (node.operation === "where" && inputs[0][0] !== inputs[0][1])) {
        slopes.push(node.operation === "where" ? ALL : hull(...node.arguments.map((i) => slopes[i])));
      } else slopes.push(parts.reduce((sum, part) => (part === ZERO ? sum : add(sum, part)), ZERO));
    }
    return { value: values.at(-1), slope: slopes.at(-1) };
  };

  /** Range and slope of f over a short interval, by the better of the plain range, the mean value theorem and monotony. */
  const cell = (graph, a, b) => {
    const { value, slope } = evaluate(graph, a, b);
    const at = (x) => evaluate(graph, x, x).value;
    let [low, high] = value;
    if (Number.isFinite(slope[0]) && Number.isFinite(slope[1])) {
      const middle = a + (b - a) / 2;
      const half = up(Math.max(b - middle, middle - a));
      const swing = multiply(slope, [-half, half]);
      const [first, last, centre] = [at(a), at(b), at(middle)];
      low = Math.max(low, down(centre[0] + swing[0]));
      high = Math.min(high, up(centre[1] + swing[1]));
      if (slope[0] >= 0) [low, high] = [Math.max(low, first[0]), Math.min(high, last[1])];
      else if (slope[1] <= 0) [low, high] = [Math.max(low, last[0]), Math.min(high, first[1])];
    }
    return { a, b, low, high, slope };
  };

  const MOST_CELLS = 600;

  /** [low, high] around all values of f on [a, b], each within about `tolerance` of the nearest such number. */
  const rangeOf = (graph, a, b, tolerance) => {
    const cells = [cell(graph, a, b)];
    let [least, greatest] = [Infinity, -Infinity]; // values that f takes
    const see = (x) => {
      const [low, high] = evaluate(graph, x, x).value;
      if (high < Infinity) least = Math.min(least, high);
      if (low > -Infinity) greatest = Math.max(greatest, low);
    };
    [a, a + (b - a) / 2, b].forEach(see);
    for (let count = 0; count < MOST_CELLS; count++) {
      let [worst, most] = [-1, tolerance];
      cells.forEach((one, i) => {
        const excess = Math.max(one.high - greatest, least - one.low);
        if (excess > most && one.b - one.a > 1e-12) [worst, most] = [i, excess];
      });
      if (worst < 0) break;
      const { a: left, b: right } = cells[worst];
      const middle = left + (right - left) / 2;
      see(middle);
      cells.splice(worst, 1, cell(graph, left, middle), cell(graph, middle, right));
    }
    return [Math.min(...cells.map((one) => one.low)), Math.max(...cells.map((one) => one.high))];
  };

  /** L of f on [0, 1], at most a thousandth more than the largest slope that is seen. */
  const lipschitzOf = (graph) => {
    const slope = (a, b) => {
      const [low, high] = evaluate(graph, a, b).slope;
      return { a, b, size: Math.max(Math.abs(low), Math.abs(high)) };
    };
    const cells = Array.from({ length: 16 }, (_, i) => slope(i / 16, (i + 1) / 16));
    for (let count = 0; count < 2000; count++) {
      let worst = 0;
      cells.forEach((one, i) => { if (one.size > cells[worst].size) worst = i; });
      const { a, b, size } = cells[worst];
      if (b - a < 1e-9) return size;
      const middle = a + (b - a) / 2;
      const [first, second] = [slope(a, middle), slope(middle, b)];
      if (Number.isFinite(size) && Math.max(first.size, second.size) >= size * (1 - 5e-4) && b - a < 1 / 256) return size;
      cells.splice(worst, 1, first, second);
    }
    return Math.max(...cells.map((one) => one.size));
  };

  /**
   * An expression of x as a function on [0, 1] with proved ranges.
   * Throws nnlab.ExpressionError, or an Error that says what cannot be enclosed, or where f has no value.
   */
  nnlab.enclosure = (text) => {
    const graph = nnlab.parse(text, ["x"]);
    const other = graph.nodes.find(({ operation, exact }) => !exact && !["variable", "constant"].includes(operation) && !OPERATIONS[operation]);
    if (other) throw new Error(`${other.operation} has no proved bounds on this page; use another function`);
    const value = (x) => nnlab.forward(graph, { x }).at(-1);
    const bad = nnlab.spaced(0, 1, 201).find((x) => !Number.isFinite(value(x)));
    if (bad !== undefined) throw new Error(`f has no finite value at x = ${nnlab.number(bad)}`);
    const known = new Map();
    let constantL;
    return {
      text, value, how: "interval arithmetic",
      range: (a, b, tolerance = 1e-5) => {
        const key = `${a} ${b} ${tolerance}`;
        if (!known.has(key)) {
          if (known.size > 5000) known.clear();
          known.set(key, rangeOf(graph, a, b, tolerance));
        }
        return known.get(key);
      },
      lipschitz: () => (constantL ??= lipschitzOf(graph)),
    };
  };

  /** Values at evenly spread places of [0, 1] with straight lines between them. */
  nnlab.polyline = (ys) => {
    const pieces = ys.length - 1;
    const value = (x) => {
      const at = Math.min(pieces, Math.max(0, x * pieces));
      const i = Math.min(Math.floor(at), pieces - 1);
      return ys[i] + (at - i) * (ys[i + 1] - ys[i]);
    };
    return {
      value, how: "its straight pieces",
      range: (a, b) => {
        const all = ys.filter((_, i) => i / pieces >= a && i / pieces <= b).concat(value(a), value(b));
        const slack = 16 * STEP * Math.max(...ys.map(Math.abs)); // of value(): four roundings of numbers of this size
        return [Math.min(...all) - slack, Math.max(...all) + slack];
      },
      lipschitz: () => up(Math.max(...ys.slice(1).map((y, i) => up(Math.abs(y - ys[i])))) * pieces),
    };
  };
})();
