"use strict";
// Expressions of numbers as computational graphs: nnlab.expressions in JavaScript, held against it by a test.
//
//   const graph = nnlab.parse("(x + y)*z", ["x", "y", "z"]);   // throws nnlab.ExpressionError: reason, position
//   const values = nnlab.forward(graph, { x: -2, y: 5, z: -4 });
//   const { arrived } = nnlab.backpropagate(graph, values);     // the gradient of the result in each node
//
// The tables of names and signs are those of Python: nnlab.page.expressions writes them into `nnlab.grammar`. An
// expression is read by precedence with a stack of our own (Dijkstra 1961): no piece of the text is ever run.
Object.assign(nnlab, (() => {
  class ExpressionError extends Error {
    /** `position` counts letters, of `text` as it was typed; the text's length where something is missing. */
    constructor(reason, text, position) {
      super(reason);
      Object.assign(this, { reason, text, position });
    }
  }

  // --- tokens ---------------------------------------------------------------------------------------

  const { functions: FUNCTIONS, aliases: ALIASES, quotients: QUOTIENTS, signs: SIGNS } = nnlab.grammar;
  const { powers: POWERS, fractions: FRACTIONS, roots: ROOTS, bars: BARS, names: NAMES, comparisons: COMPARISONS } = SIGNS;
  const CONSTANTS = nnlab.grammar.constants;
  const has = (table, key) => Object.hasOwn(table, key);
  const any = (table) => Object.keys(table).join("");
  const NAME = "[A-Za-z][A-Za-z0-9_]*";
  const TOKEN = new RegExp("(?<number>(?:[0-9]+(?:\\.[0-9]*)?|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    + `|(?<name>${NAME})|(?<pasted>[${any(NAMES)}])|(?<power>[${any(POWERS)}]+)|(?<fraction>[${any(FRACTIONS)}])`
    + "|(?<sign>\\*\\*|<=|>=|[-+*/^(),<>≤≥|⌊⌋⌈⌉√∛])|(?<space>[ \\t\\r\\n]+)", "y");
  const POWER_NEXT = new RegExp(`^\\s*(\\*\\*|\\^|[${any(POWERS)}])`);

  /** A letter with ASCII in the place of what looks or means the same; one UTF-16 unit for each letter. */
  const plain = (sign) => {
    if (sign.codePointAt(0) < 128 || has(POWERS, sign) || has(FRACTIONS, sign) || SIGNS.raised.includes(sign)) return sign.length === 1 ? sign : "\ufffd";
    const meant = SIGNS.plain[sign] ?? sign.normalize("NFKC");
    if (meant.length === 1 && (meant.charCodeAt(0) < 128 || has(NAMES, meant) || has(SIGNS.plain, sign))) return meant;
    return sign.length === 1 ? sign : "\ufffd";
  };

  /** Cuts an expression into tokens {kind, text, start, end}, the last of kind "end". */
  const tokenize = (typed) => {
    const letters = [...typed];
    const fail = (reason, position) => { throw new ExpressionError(reason, typed, position); };
    if (letters.length > nnlab.grammar.longest) fail(`an expression of ${letters.length} characters: at most ${nnlab.grammar.longest} are read`, nnlab.grammar.longest);
    const source = letters.map(plain).join("");
    const tokens = [];
    for (let position = 0; position < source.length;) {
      TOKEN.lastIndex = position;
      const match = TOKEN.exec(source);
      if (!match) fail(nnlab.mistakes.refusal(source, position, letters[position]), position);
      const [start, end] = [position, TOKEN.lastIndex];
      const [kind, piece] = Object.entries(match.groups).find(([, text]) => text !== undefined);
      const add = (of, text, from = start, to = end) => tokens.push({ kind: of, text, start: from, end: to });
      position = end;
      if (kind === "space") continue;
      if (kind === "pasted") add("name", NAMES[piece]);
      else if (kind === "fraction") add("number", FRACTIONS[piece]);
      else if (kind === "power") {
        const raised = [...piece].map((sign) => POWERS[sign]).join("");
        const signs = raised.length - raised.replace(/^[+-]+/, "").length;
        add("sign", "^", start, start);
        for (let i = 0; i < signs; i++) add("sign", raised[i], start + i, start + i + 1);
        if (signs < raised.length) add("number", raised.slice(signs), start + signs, end);
        if (POWER_NEXT.test(source.slice(end))) fail("a power of a power needs parentheses: write (a^b)^c or a^(b^c)", end);
      } else add(kind, piece === "**" ? "^" : COMPARISONS[piece] ?? piece);
    }
    if (tokens.length === 0) fail("the expression is empty: give one such as sin(2*pi*x)", 0);
    tokens.push({ kind: "end", text: "", start: letters.length, end: letters.length });
    return { tokens, letters, source };
  };

  /** The names of an expression that are none of ours, each once: its variables. What is only called is none. */
  const variablesOf = (text) => {
    const { tokens } = tokenize(text);
    const free = tokens.filter(({ kind, text: name }, i) => kind === "name" && !has(FUNCTIONS, name) && !CONSTANTS.includes(name) && tokens[i + 1].text !== "(");
    return [...new Set(free.map((token) => token.text))];
  };

  // --- fractions: numbers, and short arithmetic with them, are exact ---------------------------------

  const gcd = (a, b) => { while (b) [a, b] = [b, a % b]; return a < 0n ? -a : a; };
  const fraction = (n, d = 1n, value = undefined) => {
    const [sign, common] = [d < 0n ? -1n : 1n, gcd(n, d) || 1n];
    const [top, bottom] = [(sign * n) / common, (sign * d) / common];
    return { n: top, d: bottom, value: value ?? Number(top) / Number(bottom) };
  };
  const bits = (n) => (n < 0n ? -n : n).toString(2).length;
  const longer = ({ n, d }) => Math.max(bits(n), bits(d));
  const short = (made) => (longer(made) <= nnlab.grammar.exactBits ? made : null);

  const EXACT = {
    "+": (a, b) => fraction(a.n * b.d + b.n * a.d, a.d * b.d),
    "-": (a, b) => fraction(a.n * b.d - b.n * a.d, a.d * b.d),
    "*": (a, b) => fraction(a.n * b.n, a.d * b.d),
    "/": (a, b) => (b.n === 0n ? null : fraction(a.n * b.d, a.d * b.n)),
  };
  const arithmetic = (sign, a, b) => {
    const made = a && b ? EXACT[sign](a, b) : null;
    return made && short(made);
  };
  const integerPower = (base, exponent) => {
    if (!base || (base.n === 0n && exponent < 0)) return null;
    const size = Math.abs(exponent);
    if (longer(base) * size > 2 * nnlab.grammar.exactBits) return null;
    const [n, d] = [base.n ** BigInt(size), base.d ** BigInt(size)];
    return short(exponent < 0 ? fraction(d, n) : fraction(n, d));
  };

  const exactValue = ({ text, start }, typed) => {
    const fail = (reason) => { throw new ExpressionError(reason, typed, start); };
    if (text.length > nnlab.grammar.digits) fail(`a number of ${text.length} characters: at most ${nnlab.grammar.digits} are read`);
    if (text.includes("/")) return fraction(...text.split("/").map(BigInt));
    const [mantissa, power = "0"] = text.toLowerCase().split("e");
    if (!/[1-9]/.test(mantissa)) return fraction(0n);
    const nearest = Number(text);
    if (nearest === 0 || nearest === Infinity) fail(`${text} is too ${nearest === 0 ? "small" : "large"} for float64`);
    const [whole, part = ""] = mantissa.split(".");
    const tens = Number(power) - part.length;
    const digits = BigInt(whole + part);
    return fraction(tens > 0 ? digits * 10n ** BigInt(tens) : digits, tens < 0 ? 10n ** BigInt(-tens) : 1n, nearest);
  };

  // --- the parser -----------------------------------------------------------------------------------

  const BINARY = { "+": "add", "-": "subtract", "*": "multiply", "/": "divide" };
  const ORDER = { "<": "less", "<=": "less_equal", ">": "less", ">=": "less_equal" };
  const PRECEDENCE = { "<": 1, "<=": 1, ">": 1, ">=": 1, "+": 2, "-": 2, "*": 3, "/": 3, "^": 5 };
  const [OPEN, SIGN, ROOT] = [-1, 4, 6];
  const FOLDED = { min: "minimum", max: "maximum" };
  const NODES = { ...ALIASES, sign: "signum", sgn: "signum" };
  const CLOSED_BY = { "(": ")", ...Object.fromEntries(Object.entries(BARS).map(([opening, [closing]]) => [opening, closing])) };
  const EXPECTED = "a number, a name or ( is expected";

  /**
   * Parses an expression of numbers into {text, variables, nodes}; each node {operation, arguments, parameter, span, exact}
   * comes after its arguments, the last is the result, and two places that compute the same share one.
   */
  const parse = (text, variables = variablesOf(text)) => {
    const { tokens, letters, source } = tokenize(text);
    const typed = { text, tokens, letters, source, variables };
    const [operands, pending, nodes, known] = [[], [], [], new Map()];
    const fail = (reason, position) => { throw new ExpressionError(reason, text, position); };
    const between = (start, end) => letters.slice(start, end).join("");

    const add = (operation, args = [], parameter = null, span = [0, 0], exact = null) => {
      const key = [operation, args, parameter?.n === undefined ? parameter : `${parameter.n}/${parameter.d}`].join("|");
      if (!known.has(key)) {
        known.set(key, nodes.length);
        nodes.push({ operation, arguments: args, parameter, span, exact });
      }
      return known.get(key);
    };
    const push = (operation, args, [start, end], parameter = null, exact = null) => {
      operands.push({ node: add(operation, args, parameter, [start, end], exact), start, end });
    };
    const isCondition = ({ node }) => Object.values(ORDER).includes(nodes[node].operation);
    const refuseCondition = (operand) => {
      if (isCondition(operand)) fail("a comparison is not a number: it may only be the condition of where(condition, a, b)", operand.start);
    };

    // An operator is applied once what follows binds less tightly.
    const power = (base, exponent, span) => {
      const exact = nodes[exponent].exact;
      if (!exact) push("power", [base, exponent], span);
      else if (exact.d === 1n) push("integer_power", [base], span, Number(exact.n), integerPower(nodes[base].exact, Number(exact.n)));
      else if (exact.n === 1n && exact.d === 2n) push("sqrt", [base], span);
      else push("real_power", [base], span, exact);
    };
    const applySign = (token) => {
      const inside = operands.pop();
      refuseCondition(inside);
      if (token.text === "+") { operands.push({ ...inside, start: token.start }); return; }
      const { exact } = nodes[inside.node];
      push("negative", [inside.node], [token.start, inside.end], null, exact && { n: -exact.n, d: exact.d, value: -exact.value });
    };
    const applyBinary = (token) => {
      const [right, left] = [operands.pop(), operands.pop()];
      const [span, pair] = [[left.start, right.end], [left.node, right.node]];
      if (has(ORDER, token.text)) {
        if (isCondition(left) || isCondition(right)) fail("comparisons cannot be chained: where takes one, such as x < 1", token.start);
        push(ORDER[token.text], token.text.startsWith("<") ? pair : pair.reverse(), span);
        return;
      }
      refuseCondition(left);
      refuseCondition(right);
      if (token.text === "^") power(...pair, span);
      else push(BINARY[token.text], pair, span, null, arithmetic(token.text, ...pair.map((i) => nodes[i].exact)));
    };
    const reduce = (precedence) => {
      while (pending.length && pending.at(-1).precedence >= precedence) {
        const { token, precedence: own } = pending.pop();
        if (own === ROOT) {
          const inside = operands.pop();
          refuseCondition(inside);
          push(ROOTS[token.text], [inside.node], [token.start, inside.end]);
        } else if (own === SIGN) applySign(token);
        else applyBinary(token);
      }
    };

    const wrongCount = (name, count) => fail(nnlab.mistakes.wrongCount(typed, name, FUNCTIONS[name.text], count), name.start);
    const call = (name, args, end) => {
      const [least, most] = FUNCTIONS[name.text];
      if (args.length < least || (most !== null && args.length > most)) wrongCount(name, args.length);
      const [word, span] = [name.text, [name.start, end]];
      if (has(QUOTIENTS, word)) {
        refuseCondition(args[0]);
        const one = add("number", [], fraction(1n), span, fraction(1n));
        push("divide", QUOTIENTS[word].map((part) => (part ? add(part, [args[0].node], null, span) : one)), span);
        return;
      }
      if (word === "where" && !isCondition(args[0])) fail("the first argument of where must be a comparison, such as x < 1", args[0].start);
      args.slice(word === "where" ? 1 : 0).forEach(refuseCondition);
      const of = args.map((argument) => argument.node);
      if (has(FOLDED, word)) {
        for (const node of of.slice(1, -1)) of[0] = add(FOLDED[word], [of[0], node], null, span);
        push(FOLDED[word], [of[0], of.at(-1)], span);
      } else push(NODES[word] ?? word, of, span);
    };

    // An operand is expected: returns the number of tokens read, and whether an operand is still expected.
    const name = (token, following) => {
      const called = following[0]?.text === "(";
      if (has(FUNCTIONS, token.text) && called) {
        if (following[1].text === ")") wrongCount(token, 0);
        pending.push({ token: following[0], precedence: OPEN, function: token, count: 1 });
        return [2, true];
      }
      const isVariable = variables.includes(token.text);
      if (!isVariable && !CONSTANTS.includes(token.text)) fail(nnlab.mistakes.unknown(typed, token, following, called), token.start);
      push(isVariable ? "variable" : "constant", [], [token.start, token.end], token.text);
      return [1, false];
    };
    const operand = (token, following) => {
      if (token.kind === "number") {
        const exact = exactValue(token, text);
        push("number", [], [token.start, token.end], exact, exact);
        return [1, false];
      }
      if (token.kind === "name") return name(token, following);
      if (has(BARS, token.text)) {
        pending.push({ token, precedence: OPEN, function: { ...token, kind: "name", text: BARS[token.text][1] }, count: 1 });
        return [1, true];
      }
      if (["(", "+", "-"].includes(token.text) || has(ROOTS, token.text)) {
        pending.push({ token, precedence: has(ROOTS, token.text) ? ROOT : token.text === "(" ? OPEN : SIGN, count: 1 });
        return [1, true];
      }
      if (token.text === "^" && token.start === token.end) fail(nnlab.mistakes.nothingToRaise(typed, token.start), token.start);
      if (token.kind === "end") fail(`the expression ends where ${EXPECTED}`, token.start);
      return fail(`'${token.text}' stands where ${EXPECTED}`, token.start);
    };

    // An operator is expected: returns whether an operand is expected next.
    const close = (token) => {
      reduce(0);
      if (!pending.length || CLOSED_BY[pending.at(-1).token.text] !== token.text) {
        const following = tokens.find((t) => t.start > token.start);
        if (token.text === "|" && (["name", "number"].includes(following.kind) || following.text === "(")) fail(nnlab.mistakes.missingOperator(typed, token), token.start);
        if (pending.some((one) => CLOSED_BY[one.token.text] === token.text)) fail(`this ${pending.at(-1).token.text} is never closed`, pending.at(-1).token.start);
        fail(`this ${token.text} closes no ${token.text === ")" ? "parenthesis" : token.text === "|" ? "bar" : "bracket"}`, token.start);
      }
      const opened = pending.pop();
      if (opened.function) call(opened.function, operands.splice(-opened.count), token.end);
      else operands.push({ ...operands.pop(), start: opened.token.start, end: token.end });
    };
    const comma = (token) => {
      reduce(0);
      if (!pending.length || !pending.at(-1).function || pending.at(-1).token.text !== "(") {
        fail(nnlab.mistakes.decimal(typed, token) || "a comma may only separate the arguments of a function", token.start);
      }
      pending.at(-1).count += 1;
    };
    const operator = (token) => {
      if ([")", "|", "⌋", "⌉"].includes(token.text)) { close(token); return false; }
      if (token.text === ",") { comma(token); return true; }
      if (!has(PRECEDENCE, token.text)) fail(nnlab.mistakes.missingOperator(typed, token), token.start);
      const precedence = PRECEDENCE[token.text];
      if (token.text === "^" && pending.at(-1)?.precedence === ROOT && letters[operands.at(-1).start] !== "(") {
        const [root, term] = [pending.at(-1).token.text, between(operands.at(-1).start, operands.at(-1).end)];
        fail(`without parentheses it may be either ${root}(${term}^…) or (${root}${term})^…`, token.start);
      }
      reduce(token.text === "^" ? precedence + 1 : precedence);
      pending.push({ token, precedence, count: 1 });
      return true;
    };

    for (let [position, wantsOperand] = [0, true]; ;) {
      const token = tokens[position];
      if (!wantsOperand && token.kind === "end") break;
      let used = 1;
      if (wantsOperand) [used, wantsOperand] = operand(token, tokens.slice(position + 1, position + 3));
      else wantsOperand = operator(token);
      position += used;
    }
    reduce(0);
    if (pending.length) fail(`this ${pending.at(-1).token.text} is never closed`, pending.at(-1).token.start);
    refuseCondition(operands[0]);
    return { text, variables, nodes: needed(nodes, operands[0].node) };
  };

  /** The nodes that one of them needs, itself the last, renumbered. */
  const needed = (nodes, result) => {
    const kept = new Set([result]);
    for (let i = result; i >= 0; i--) if (kept.has(i)) nodes[i].arguments.forEach((j) => kept.add(j));
    const order = [...kept].sort((a, b) => a - b);
    return order.map((i) => ({ ...nodes[i], arguments: nodes[i].arguments.map((j) => order.indexOf(j)) }));
  };

  // --- values and derivatives -----------------------------------------------------------------------

  const sigmoid = (x) => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x)));
  const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  /** erf by its series below 2 and the continued fraction of erfc above (Abramowitz & Stegun 7.1.6 and 7.1.14). */
  const erf = (x) => {
    const z = Math.abs(x);
    if (!(z < 6)) return Number.isNaN(x) ? NaN : Math.sign(x);
    if (z < 2) {
      let [term, sum] = [z, z];
      for (let k = 1; Math.abs(term) > 1e-17 * sum; k++) {
        term *= (2 * z * z) / (2 * k + 1);
        sum += term;
      }
      return Math.sign(x) * (2 / Math.sqrt(Math.PI)) * Math.exp(-z * z) * sum;
    }
    let rest = z;
    for (let k = 60; k > 0; k--) rest = z + k / 2 / rest;
    return Math.sign(x) * (1 - Math.exp(-z * z) / Math.sqrt(Math.PI) / rest);
  };
  const raised = (x, p) => (x < 0 ? NaN : x ** p);
  const tie = (a, b) => (a > b ? [1, 0] : a < b ? [0, 1] : [0.5, 0.5]);
  const { sin, cos, tan, exp, log, sqrt, tanh, sinh, cosh, asinh, acosh, atanh, asin, acos, atan } = Math;

  // operation -> its value at its arguments (and its parameter); the derivatives by each argument, given the value first.
  const OPERATIONS = {
    add: [(a, b) => a + b, () => [1, 1]],
    subtract: [(a, b) => a - b, () => [1, -1]],
    multiply: [(a, b) => a * b, (v, a, b) => [b, a]],
    divide: [(a, b) => a / b, (v, a, b) => [1 / b, -v / b]],
    negative: [(a) => -a, () => [-1]],
    integer_power: [(a, n) => a ** n, (v, a, n) => [n === 0 ? 0 : n * a ** (n - 1)]],
    real_power: [(a, p) => raised(a, p.value), (v, a, p) => [p.value * raised(a, p.value - 1)]],
    power: [raised, (v, a, b) => [a === 0 && b === 0 ? 0 : b * raised(a, b - 1), a === 0 && b > 0 ? 0 : v * log(a)]],
    sin: [sin, (v, a) => [cos(a)]],
    cos: [cos, (v, a) => [-sin(a)]],
    tan: [tan, (v) => [1 + v * v]],
    exp: [exp, (v) => [v]],
    log: [(a) => log(a), (v, a) => [1 / a]],
    sqrt: [sqrt, (v) => [1 / (2 * v)]],
    tanh: [tanh, (v) => [1 - v * v]],
    sigmoid: [sigmoid, (v, a) => [v * sigmoid(-a)]],
    log10: [Math.log10, (v, a) => [1 / (a * Math.LN10)]],
    log2: [Math.log2, (v, a) => [1 / (a * Math.LN2)]],
    log1p: [Math.log1p, (v, a) => [1 / (1 + a)]],
    expm1: [Math.expm1, (v, a) => [exp(a)]],
    sinh: [sinh, (v, a) => [cosh(a)]],
    cosh: [cosh, (v, a) => [sinh(a)]],
    asinh: [asinh, (v) => [1 / cosh(v)]],
    acosh: [acosh, (v) => [1 / sinh(v)]],
    atanh: [atanh, (v, a) => [1 / ((1 - a) * (1 + a))]],
    arcsin: [asin, (v, a) => [1 / sqrt((1 - a) * (1 + a))]],
    arccos: [acos, (v, a) => [-1 / sqrt((1 - a) * (1 + a))]],
    arctan: [atan, (v, a) => [1 / (1 + a * a)]],
    cbrt: [Math.cbrt, (v) => [1 / (3 * v * v)]],
    erf: [erf, (v, a) => [(2 / sqrt(Math.PI)) * exp(-a * a)]],
    softplus: [softplus, (v, a) => [sigmoid(a)]],
    floor: [Math.floor, () => [0]],
    ceil: [Math.ceil, () => [0]],
    signum: [Math.sign, () => [0]],
    abs: [Math.abs, (v, a) => [Math.sign(a)]],
    relu: [(a) => Math.max(a, 0), (v, a) => [a > 0 ? 1 : 0]],
    maximum: [Math.max, (v, a, b) => tie(a, b)],
    minimum: [Math.min, (v, a, b) => tie(b, a)],
    less: [(a, b) => a < b, () => [0, 0]],
    less_equal: [(a, b) => a <= b, () => [0, 0]],
    where: [(condition, a, b) => (condition ? a : b), (v, condition) => [0, condition ? 1 : 0, condition ? 0 : 1]],
  };
  const CONSTANT = { pi: Math.PI, e: Math.E };

  const inputsOf = ({ arguments: args, parameter }, values) => [...args.map((i) => values[i]), ...(parameter === null ? [] : [parameter])];

  /** Computes the value of every node, in order; `at` gives the variables. */
  const forward = ({ nodes }, at) => {
    const values = [];
    for (const node of nodes) {
      if (node.exact) values.push(node.exact.value);
      else if (node.operation === "variable") values.push(at[node.parameter]);
      else if (node.operation === "constant") values.push(CONSTANT[node.parameter]);
      else values.push(OPERATIONS[node.operation][0](...inputsOf(node, values)));
    }
    return values;
  };

  /** For each node, whether it depends on a variable. */
  const varying = ({ nodes }) => {
    const found = [];
    for (const node of nodes) found.push(node.operation === "variable" || node.arguments.some((i) => found[i]));
    return found;
  };

  /** For each argument of a node, the derivative of its value by it; null for what is not taken, and for conditions. */
  const localDerivatives = (node, values, value) => {
    const found = OPERATIONS[node.operation][1](value, ...inputsOf(node, values));
    if (node.operation !== "where") return found;
    return found.map((share, k) => (k === 0 || share === 0 ? null : share));
  };

  /**
   * Walks from the result back to the variables, through its last `count` nodes that depend on them. Returns `arrived`, for
   * each node the gradient of the result in it, or null, and `passed`, for each node what it passed on to its arguments.
   */
  const backpropagate = (graph, values, count = Infinity) => {
    const { nodes } = graph;
    const [arrived, passed, varies] = [nodes.map(() => null), nodes.map(() => []), varying(graph)];
    arrived[nodes.length - 1] = 1;
    for (let i = nodes.length - 1, done = 0; i >= 0 && done < count; i--) {
      if (arrived[i] === null || !varies[i] || nodes[i].operation === "variable") continue;
      const local = localDerivatives(nodes[i], values, values[i]);
      passed[i] = nodes[i].arguments.map((j, k) => (varies[j] && local[k] !== null ? arrived[i] * local[k] : null));
      nodes[i].arguments.forEach((j, k) => {
        if (passed[i][k] !== null) arrived[j] = (arrived[j] ?? 0) + passed[i][k];
      });
      done += 1;
    }
    return { arrived, passed };
  };

  return { ExpressionError, tokenize, variablesOf, parse, forward, varying, localDerivatives, backpropagate };
})());
