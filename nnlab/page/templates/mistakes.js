"use strict";
// What is wrong with an expression that cannot be read, and what to write instead: nnlab.expressions.mistakes and hints.
nnlab.mistakes = (() => {
  const { functions: FUNCTIONS, constants: CONSTANTS, hints: HINTS, signs: SIGNS } = nnlab.grammar;
  const { powers: POWERS, fractions: FRACTIONS, roots: ROOTS, bars: BARS, names: NAMES } = SIGNS;
  const has = (table, key) => Object.hasOwn(table, key);
  const RAISED = `[${Object.keys(POWERS).join("")}]+`;
  const lowered = (text) => [...text].map((sign) => POWERS[sign] ?? sign).join("");
  const between = ({ letters }, start, end = letters.length) => letters.slice(start, end).join("");
  const near = (typed, position) => between(typed, Math.max(0, position - HINTS.lookBack), position);
  const DERIVED = "derivatives are computed, and not typed";
  const byLength = (words) => [...words].sort((a, b) => b.length - a.length);

  // --- words ----------------------------------------------------------------------------------------

  /** The letters to change, add, drop or swap with their neighbour (Damerau 1964). */
  const distance = (a, b) => {
    if (Math.abs(a.length - b.length) > 2) return 9;
    let [before, last] = [[], Array.from({ length: b.length + 1 }, (_, i) => i)];
    for (let i = 1; i <= a.length; i++) {
      const row = [i];
      for (let j = 1; j <= b.length; j++) {
        let best = Math.min(last[j] + 1, row.at(-1) + 1, last[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
        if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, before[j - 2] + 1);
        row.push(best);
      }
      [before, last] = [last, row];
    }
    return last.at(-1);
  };

  /** The names that a word is a misspelling of, at most three. */
  const nearest = (word, names) => {
    const lower = word.toLowerCase();
    const doubled = lower.replace(/(.)\1/g, "$1");
    if (names.includes(doubled) && doubled !== lower) return [doubled];
    if (lower.length < 3 || /[0-9]$/.test(lower)) return [];
    const distances = new Map(names.filter((name) => name.length > 1).map((name) => [name, distance(lower, name.toLowerCase())]));
    const least = Math.min(9, ...distances.values());
    const found = [...distances.keys()].filter((name) => distances.get(name) === least);
    return found.length <= 3 && least <= (lower.length >= 7 ? 2 : 1) ? found : [];
  };

  const factors = (word, known) => {
    const ways = ["", ...Array(word.length).fill(null)];
    for (let end = 1; end <= word.length; end++) {
      for (let start = 0; start < end; start++) {
        const piece = word.slice(start, end);
        if (ways[start] === null || !(known.includes(piece) || (/^[0-9]+$/.test(piece) && start === 0))) continue;
        ways[end] = start ? `${ways[start]}*${piece}` : piece;
        break;
      }
    }
    return ways.at(-1) ?? "";
  };

  /** Reads a word as names without signs between: xy as x*y, sinx as sin(x), xsin( as x*sin; else empty. */
  const asProduct = (word, known, called) => {
    if (word.length > HINTS.longest) return "";
    const names = byLength(Object.keys(FUNCTIONS));
    if (called) {
      for (const name of names.filter((one) => word.endsWith(one) && word !== one)) {
        const found = factors(word.slice(0, -name.length), known);
        if (found) return `${found}*${name}`;
      }
      return "";
    }
    const whole = factors(word, known);
    if (whole) return whole;
    for (const name of names.filter((one) => word.startsWith(one))) {
      const found = factors(word.slice(name.length), known);
      if (found) return `${name}(${found})`;
    }
    return "";
  };

  const unknownName = (word, allowed, called) => {
    const [kind, lower, listed] = [called ? "function" : "name", word.toLowerCase(), `Allowed: ${[...allowed].sort().join(", ")}`];
    const own = [lower, HINTS.synonyms[lower] ?? "", lower.replaceAll("_", "")].find((name) => allowed.includes(name));
    if (own) return `unknown ${kind} ${word}: did you mean ${own}? ${listed}`;
    if (has(HINTS.missing, lower)) return `${word} is not available${HINTS.missing[lower] ? `: write ${HINTS.missing[lower]}` : ""}. ${listed}`;
    const found = nearest(word, allowed).join(" or ");
    return `unknown ${kind} ${word}: ${found ? `did you mean ${found}? ` : ""}${listed}`;
  };

  // --- characters that no expression has ------------------------------------------------------------

  /** The right side of the = at a position, where a name or f(x) stands to its left. */
  const equation = (source, position) => {
    const [left, right] = [source.slice(0, position), source.slice(position + 1)];
    if (left.length > HINTS.longest || right.startsWith("=") || !/[A-Za-z]/.test(right)) return "";
    return /^\s*[A-Za-z]\w*'?\s*(\(\s*\w+(\s*,\s*\w+)*\s*\))?\s*:?\s*$/.test(left) ? right.trim().split(/\s+/).join(" ") : "";
  };

  const instead = (sign, before, after, source, position) => {
    if (sign === "=" || sign === ":") {
      const at = position + (sign === ":" && after.startsWith("=") ? 1 : 0);
      const body = source[at] === "=" ? equation(source, at) : "";
      if (body) return `give the right side of the equation alone, ${body}`;
      return sign === "=" ? "conditions are made of < <= > >=" : "write where(condition, a, b) for cases";
    }
    if ("[{".includes(sign)) return "write (";
    if ("]}".includes(sign)) return "write )";
    if (sign === ".") {
      if ("^*/+-".includes(after[0] ?? " ")) return "leave the point out";
      const module = before.match(/\b(np|numpy|math|cmath|torch|jnp|tf|sp|scipy|nn|F|Math)$/);
      return module ? `leave ${module[0]}. out` : "a decimal point stands between digits";
    }
    if (sign === "%") {
      const number = before.match(after ? /[0-9.]+$/ : /[\w.]+$/);
      return number && !/^[\w(]/.test(after) ? `write ${number[0]}/100` : "write a - b*floor(a/b) for the rest of a division";
    }
    const thousands = [before.match(/(?<![\w.])[0-9]{1,3}$/), after.match(/^[0-9]{3}(?![\w.])/)];
    if ("_'’".includes(sign) && thousands.every(Boolean)) return `write ${thousands.map((part) => part[0]).join("")} if it is one number`;
    if ("'′″’`".includes(sign)) return `${DERIVED}; write the function itself`;
    return HINTS.signs[sign] ?? (/\p{L}/u.test(sign) ? "a name has letters a to z, digits and _" : "");
  };

  /** What to write for a text with LaTeX in it; empty if it cannot be read then either. */
  const fromLatex = (source) => {
    const twice = [...HINTS.latex.slice(0, HINTS.latexTwice), ...HINTS.latex]; // for what stands inside another
    const meant = twice.reduce((text, [pattern, replacement]) => text.replace(new RegExp(pattern, "g"), replacement), source).trim().split(/\s+/).join(" ");
    if (/[\\{}$]/.test(meant)) return "";
    try {
      const names = nnlab.tokenize(meant).tokens.filter((token) => token.kind === "name" && !has(FUNCTIONS, token.text));
      nnlab.parse(meant, names.map((token) => token.text));
      return meant;
    } catch {
      return "";
    }
  };

  const refusal = (source, position, typed) => {
    const [sign, after] = [source[position], source.slice(position + 1).trimStart()];
    const before = source.slice(Math.max(0, position - HINTS.lookBack), position).trimEnd();
    const shown = { "'": "\"'\"", "\\": "'\\\\'" }[typed] ?? `'${typed}'`;
    const code = typed.codePointAt(0);
    const quoted = code < 128 ? shown : `${shown} (U+${code.toString(16).toUpperCase().padStart(4, "0")})`;
    const allowed = "Allowed: numbers, names, + - * / ^ ** ( ) | , < <= > >=";
    const isLatex = sign === "$" || /\\|[_^]\s*\{/.test(source);
    const meant = isLatex && "{}$\\".includes(sign) ? fromLatex(source) : "";
    if (sign === "\\") return `${quoted} begins a command of LaTeX, which is not read: write ${meant || "sin(x), a/b, a*b, sqrt(x), pi"}. ${allowed}`;
    if (meant) return `${shown} belongs to LaTeX, which is not read: write ${meant}`;
    const hint = instead(sign, before, after, source, position);
    return `${quoted} cannot be in an expression${hint ? `: ${hint}` : ""}. ${allowed}`;
  };

  // --- tokens in a place where they cannot stand ----------------------------------------------------

  const wrongCount = (typed, { text: name, start }, [least, most], count) => {
    const takes = most === null ? `${least} or more arguments` : `${least} argument${least > 1 ? "s" : ""}`;
    const decimal = between(typed, start).match(/(?<![\w.])[0-9]+,[0-9]+/);
    let hint = "";
    if (count === 2 && decimal && most === 1) hint = `: a decimal number has a point, ${decimal[0].replace(",", ".")}`;
    else if (count === 2 && name === "log") hint = ": write log2(x), log10(x), or log(x)/log(b) for the base b";
    return `${name} takes ${takes}, and has ${count} here${hint}`;
  };

  /** What to say about a comma between digits; empty where it is no decimal comma. */
  const decimal = (typed, comma) => {
    const [left, right] = [near(typed, comma.start), between(typed, comma.end, comma.end + HINTS.lookBack)];
    const [whole, part] = [left.match(/(?<![\w.,])([0-9]+)$/)?.[0], right.match(/^[0-9]+(?![0-9_.,])/)?.[0]];
    if (!whole || !part) return "";
    const [before, after] = [between(typed, 0, comma.start - whole.length), between(typed, comma.end + part.length)];
    if (before.trimEnd().endsWith("(") && after.trimStart().startsWith(")")) return "";
    const thousands = part.length === 3 && whole !== "0";
    return `a decimal number has a point${thousands ? `, and thousands no comma: write ${whole}.${part} or ${whole}${part}` : `: write ${whole}.${part}`}`;
  };

  const missingOperator = (typed, token) => {
    const before = typed.tokens.filter((t) => t.end <= token.start).reduce((a, b) => (b.end > a.end || (b.end === a.end && b.start > a.start) ? b : a));
    const [left, own] = [between(typed, before.start, before.end), between(typed, token.start, token.end)];
    let right = own;
    if (before.kind === "number" && has(FRACTIONS, right)) return `${left}${right} may be a sum or a product: write (${left} + ${right})`;
    const index = lowered(left);
    if (has(ROOTS, right) && before.kind === "number" && /^[0-9]+$/.test(index)) {
      return `an operator is missing before '${right}': write (…)^(1/${index}) if that root is meant, and * before ${right} for a product`;
    }
    right = right === "(" ? "(…)" : has(BARS, right) ? `${right}…${BARS[right][0]}` : right;
    if (before.kind === "number" && token.kind === "number") {
      if (before.end === token.start && right.startsWith(".")) return `${left}${right} is no number: it has two decimal points`;
      if (before.end < token.start) return `an operator is missing before '${right}': write ${left}${right} if it is one number`;
    }
    const word = token.text.toLowerCase();
    if (has(HINTS.words, word)) return `${token.text} is no sign here: ${HINTS.words[word]}`;
    const known = [...typed.variables, ...CONSTANTS];
    if (token.kind === "name" && !has(FUNCTIONS, token.text) && !known.includes(token.text)) right = asProduct(token.text, known, false) || right;
    const text = near(typed, before.end);
    const factor = text.match(new RegExp(`[\\w.]+(?:(?:\\^|\\*\\*)-?[\\w.]+|${RAISED})$`));
    if (has(FUNCTIONS, token.text)) right = `${right}(…)`;
    let advice = `write * between ${left} and ${right} if their product is meant`;
    if (factor || typed.variables.includes(left) || before.kind === "number") {
      const product = `${factor ? factor[0] : left}*${right}`;
      const first = product.split("*", 1)[0];
      const sign = (text.endsWith(first) ? text.slice(0, text.length - first.length) : text).trimEnd().at(-1) ?? "";
      advice = `write ${product}`;
      const power = text.match(/(\w*)(\^|\*\*)\s*([-−]?\s*[\w.]+)$/);
      if (power) advice += `, or ${power[1] || "(…)"}${power[2]}(${power[3]}*${right}) if that is the exponent`;
      const raisedSign = power ? power[2] : sign;
      if (["/", "÷", ...Object.keys(ROOTS)].includes(raisedSign)) {
        advice = `write (${product}) if that is the ${"/÷".includes(raisedSign) ? "divisor" : "number below the root"}, ${product} if not`;
      }
    }
    return `an operator is missing before '${own}': ${advice}`;
  };

  const nothingToRaise = (typed, position) => {
    const text = between(typed, position);
    const signs = text.match(new RegExp(`^${RAISED}`))[0];
    const [rest, index] = [text.slice(signs.length).trimStart(), lowered(signs)];
    if (has(ROOTS, rest[0] ?? "") && /^[0-9]+$/.test(index)) return `a root has no index here: write (…)^(1/${index})${index === "3" ? " or ∛…" : ""}`;
    return `the ${signs} has nothing before it that it could be the power of`;
  };

  // --- names ----------------------------------------------------------------------------------------

  const raised = (word, inside, exponent) => {
    if (/^\(*[-−]1\)*$/.test(exponent)) return `${["sin", "cos", "tan"].includes(word) ? `arc${word}(${inside}) or ` : ""}1/${word}(${inside})`;
    return `${word}(${inside})^${exponent}`;
  };

  /** The call that is meant where a function stands without parentheses behind it. */
  const applied = (typed, { text: word, end }, following) => {
    const [rest, plainRest] = [between(typed, end), typed.source.slice(end)];
    const found = plainRest.match(/^\s*(?:\^|\*\*)\s*(\(?[-−]?\w+\)?)\s*\(([^()]*)\)/) ?? plainRest.match(new RegExp(`^\\s*(${RAISED})\\s*\\(([^()]*)\\)`));
    if (found) return raised(word, found[2], lowered(found[1]));
    const bare = plainRest.match(new RegExp(`^\\s*(\\^\\s*-?\\d+\\s|\\*\\*\\s*-?\\d+\\s|${RAISED})\\s*([A-Za-z]\\w*|π)`));
    if (bare && !new RegExp(`^\\s*(\\^|\\*\\*|[\\w(|]|${RAISED})`).test(plainRest.slice(bare[0].length))) {
      const known = [...typed.variables, ...CONSTANTS];
      if (known.includes(bare[2]) || known.includes(NAMES[bare[2]])) return raised(word, bare[2], lowered(bare[1].replace(/^[\^* ]+|[\^* ]+$/g, "")));
    }
    if (following[0]?.text === "^") return `${word}(…)^…`;
    const bars = rest.match(/^\s*\|([^|]*)\|/);
    if (bars) return `${word}(abs(${bars[1]}))`;
    if (FUNCTIONS[word][0] > 1) return `${word}(…, …)`;
    const beside = following.findIndex((t) => !["name", "number"].includes(t.kind));
    const factorsBeside = following.slice(0, beside < 0 ? following.length : beside).map((t) => t.text);
    const isPlain = factorsBeside.length > 0 && !factorsBeside.some((text) => has(FUNCTIONS, text));
    return `${word}(${isPlain && !(beside >= 0 && following[beside].text === "^") ? factorsBeside.join("*") : "…"})`;
  };

  const unknown = (typed, token, following, called) => {
    const word = token.text;
    if (has(FUNCTIONS, word)) return `${word} is a function: write ${applied(typed, token, following)}`;
    if (["d", "dx", "dy"].includes(word) && /\bd\w*\s*\/\s*d[a-z]/.test(typed.text)) return `${DERIVED}; write the function itself`;
    const known = [...typed.variables, ...CONSTANTS];
    let product = asProduct(word, known, called);
    if (product) {
      product = called ? `${product}(…)` : product;
      const goesOn = following[0]?.kind === "name" && following[0].start === token.end;
      if (goesOn && product.endsWith(")")) product = `${product.slice(0, product.lastIndexOf("("))}(…)`;
      const before = near(typed, token.start).trimEnd();
      const alone = product.includes("*") && ["/", "÷", "^", "**", ...Object.keys(ROOTS)].some((sign) => before.endsWith(sign));
      return `unknown name ${word}: write ${alone ? `(${product}) if that is the divisor or power, ${product} if not` : `${product} if that is meant`}`;
    }
    return unknownName(word, called ? Object.keys(FUNCTIONS) : [...known, ...Object.keys(FUNCTIONS)], called);
  };

  return { refusal, wrongCount, decimal, missingOperator, nothingToRaise, unknown };
})();
