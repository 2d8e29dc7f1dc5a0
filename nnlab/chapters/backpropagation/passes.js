"use strict";
// The steps of both passes through a graph of nnlab.parse, and its nodes in words.
nnlab.passes = (() => {
  /** The first node that the result needs and that has no finite value; undefined where all have one. */
  const fault = ({ nodes }, values) => {
    const needed = new Set([nodes.length - 1]);
    for (let i = nodes.length - 1; i >= 0; i--) {
      const { operation, arguments: args } = nodes[i];
      const untaken = operation === "where" ? (values[args[0]] ? 2 : 1) : -1;
      if (needed.has(i)) args.forEach((j, k) => { if (k !== untaken) needed.add(j); });
    }
    return [...needed].sort((a, b) => a - b).find((i) => typeof values[i] === "number" && !Number.isFinite(values[i]));
  };

  /**
   * The nodes in the order in which they compute, then in which they pass gradients on: [[direction, node]]. Those that depend
   * on no variable do neither; where a value is not finite, nothing goes back.
   */
  const steps = (graph, values) => {
    const varies = nnlab.varying(graph);
    const order = [...graph.nodes.keys()].filter((i) => varies[i] && graph.nodes[i].operation !== "variable");
    const forward = order.map((i) => ["forward", i]);
    if (fault(graph, values) !== undefined) return forward;
    const { arrived } = nnlab.backpropagate(graph, values);
    return [...forward, ["start", graph.nodes.length - 1], ...order.filter((i) => arrived[i] !== null).reverse().map((i) => ["back", i])];
  };

  /** The piece of the text that a node comes from. */
  const term = ({ text, nodes }, i) => [...text].slice(...nodes[i].span).join("");

  const subscripted = (name) => name.replace(/(?<=[A-Za-z])[0-9]+$/, (digits) => [...digits].map((d) => "₀₁₂₃₄₅₆₇₈₉"[d]).join(""));

  /** An argument that depends on no variable, as it stands in the text where it is short. */
  const known = (graph, i) => (term(graph, i).length <= 5 ? term(graph, i) : nnlab.number(nnlab.forward(graph, {})[i], 3));

  /** What a node says on its face; a is its argument, or a and b are its two. */
  const face = (graph, i) => {
    const { operation, arguments: args, parameter } = graph.nodes[i];
    const varies = nnlab.varying(graph);
    const [a, b] = [0, 1].map((k) => (args[k] === undefined || varies[args[k]] ? "ab"[k] : known(graph, args[k])));
    const alone = a !== "a" || b !== "b"; // beside a constant, which is `other`
    const other = a === "a" ? b : a;
    const power = parameter?.n === undefined ? parameter : parameter.d === 1n ? parameter.n : `${parameter.n}/${parameter.d}`;
    const faces = {
      variable: () => subscripted(parameter), add: () => (alone ? `+ ${other}` : "+"), multiply: () => (alone ? `× ${other}` : "×"),
      subtract: () => (a !== "a" ? `${a} − a` : alone ? `− ${b}` : "a − b"), divide: () => (a !== "a" ? `${a}/a` : alone ? `÷ ${b}` : "a/b"),
      negative: () => "×(−1)", sqrt: () => "√a", cbrt: () => "∛a", abs: () => "|a|", sigmoid: () => "σ", signum: () => "sign", floor: () => "⌊a⌋", ceil: () => "⌈a⌉",
      integer_power: () => `a${[...String(power)].map((d) => (d === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[d])).join("")}`, real_power: () => `a^(${power})`,
      power: () => (a !== "a" ? `${a}^a` : alone ? `a^${b}` : "a^b"),
      maximum: () => (alone ? `max(${other}, a)` : "max"), minimum: () => (alone ? `min(${other}, a)` : "min"),
      less: () => (a !== "a" ? `a > ${a}` : `a < ${b}`), less_equal: () => (a !== "a" ? `a ≥ ${a}` : `a ≤ ${b}`),
    };
    return faces[operation]?.() ?? operation;
  };

  const [FACTOR, LARGER, SMALLER] = ["the other factor", "1 to the larger, 0 to the smaller", "1 to the smaller, 0 to the larger"];
  const WORDS = {
    add: ["1", "1"], subtract: ["1", "−1"], multiply: [FACTOR, FACTOR], divide: ["1/b", "−a/b²"], negative: ["−1"], exp: ["eᵃ"], log: ["1/a"], sqrt: ["1/(2√a)"],
    tanh: ["1 − tanh²"], sigmoid: ["σ(1 − σ)"], sin: ["cos a"], cos: ["−sin a"], abs: ["±1"], relu: ["1 above 0, else 0"], maximum: [LARGER, LARGER], minimum: [SMALLER, SMALLER],
  };

  /** The local derivative of a node by its k-th argument as a formula, empty where that is long. */
  const derivative = (graph, i, k) => {
    const { operation, arguments: args, parameter } = graph.nodes[i];
    const fixed = args.findIndex((j) => !nnlab.varying(graph)[j]);
    if (operation === "multiply" && fixed >= 0) return "the factor";
    if (operation === "divide" && fixed >= 0) return fixed === 0 ? `−${known(graph, args[0])}/a²` : `1/${known(graph, args[1])}`;
    if (operation === "integer_power" && parameter === 2) return "2a";
    return WORDS[operation]?.[k] ?? "";
  };

  return { fault, steps, term, subscripted, face, derivative };
})();
