"use strict";
// Places for a graph whose wires all run one way: a rank for each node, and an order within each rank with few crossings.
nnlab.layers = (() => {
  /** The numbers nearest to the wanted ones, by least squares, that rise by at least `gaps[i]` from i to i + 1. */
  const apart = (wanted, gaps) => {
    const before = gaps.reduce((sums, gap) => [...sums, sums.at(-1) + gap], [0]);
    const blocks = []; // neighbours that touch move together, to the mean of what they want
    wanted.forEach((want, i) => {
      blocks.push({ sum: want - before[i], count: 1 });
      while (blocks.length > 1 && blocks.at(-2).sum / blocks.at(-2).count > blocks.at(-1).sum / blocks.at(-1).count) {
        const last = blocks.pop();
        blocks.at(-1).sum += last.sum;
        blocks.at(-1).count += last.count;
      }
    });
    return blocks.flatMap(({ sum, count }) => Array(count).fill(sum / count)).map((value, i) => value + before[i]);
  };

  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  /** The wires of neighbouring ranks that cross, for an order within each. */
  const crossings = (ranks, after) => {
    let count = 0;
    for (let r = 0; r + 1 < ranks.length; r++) {
      const ends = ranks[r].flatMap((i) => after[i].map((j) => ranks[r + 1].indexOf(j)).sort((a, b) => a - b));
      ends.forEach((end, k) => { count += ends.slice(k + 1).filter((other) => other < end).length; });
    }
    return count;
  };

  /**
   * Ranks and orders of nodes 0 … n − 1, given the arguments of each, all before it; each stands just before the first that takes it. A wire over several ranks is led through places of its own, so that no other node lies on it.
   * Returns { ranks: [[place]], of: place → node, or null on a wire, paths: [{ from, to, argument, through: [place] }] }.
   */
  const ranked = (args) => {
    const users = args.map((_, i) => args.flatMap((of, k) => (of.includes(i) ? [k] : [])));
    const rank = [];
    args.forEach((of, i) => { rank[i] = of.length ? 1 + Math.max(...of.map((j) => rank[j])) : 0; });
    for (let i = args.length - 2; i >= 0; i--) if (users[i].length) rank[i] = Math.min(...users[i].map((k) => rank[k])) - 1;

    // Places are met from the result backwards, arguments in their order: neighbours in the text begin as neighbours.
    const [of, ranks, after, before, paths, met] = [args.map((_, i) => i), [], args.map(() => []), args.map(() => []), [], new Set()];
    const put = (place, at) => { (ranks[at] ??= []).push(place); };
    const link = (a, b) => { after[a].push(b); before[b].push(a); };
    const visit = (i) => {
      if (met.has(i)) return;
      met.add(i);
      args[i].forEach((j, argument) => {
        const through = [];
        for (let r = rank[j] + 1; r < rank[i]; r++) {
          through.push(of.push(null) - 1);
          after.push([]);
          before.push([]);
          put(through.at(-1), r);
        }
        [j, ...through, i].reduce((a, b) => { link(a, b); return b; });
        paths.push({ from: j, to: i, argument, through });
        visit(j);
      });
      put(i, rank[i]);
    };
    visit(args.length - 1);
    for (let r = 0; r < ranks.length; r++) ranks[r] ??= [];

    let best = ranks.map((row) => [...row]);
    for (let sweep = 0; sweep < 16; sweep++) {
      const near = sweep % 2 ? after : before;
      for (const r of sweep % 2 ? [...ranks.keys()].reverse() : ranks.keys()) {
        const beside = ranks[r + (sweep % 2 ? 1 : -1)];
        if (!beside) continue;
        const want = new Map(ranks[r].map((i, k) => [i, near[i].length ? mean(near[i].map((j) => beside.indexOf(j))) : k]));
        ranks[r].sort((a, b) => want.get(a) - want.get(b));
      }
      if (crossings(ranks, after) < crossings(best, after)) best = ranks.map((row) => [...row]);
    }
    for (let least = Infinity; crossings(best, after) < least;) { // neighbours change places as long as that helps
      least = crossings(best, after);
      best.forEach((row, r) => row.slice(1).forEach((_, k) => {
        const beside = [best[r - 1], row, best[r + 1]].filter(Boolean);
        const old = crossings(beside, after);
        [row[k], row[k + 1]] = [row[k + 1], row[k]];
        if (crossings(beside, after) >= old) [row[k], row[k + 1]] = [row[k + 1], row[k]];
      }));
    }
    return { ranks: best, of, paths, after, before };
  };

  /** Where each place lies across the ranks, for the room that each needs there: near its neighbours, and apart. */
  const across = ({ ranks, after, before }, need) => {
    const at = [];
    const gaps = ranks.map((row) => row.slice(1).map((place, k) => (need(place) + need(row[k])) / 2));
    ranks.forEach((row, r) => apart(row.map(() => 0), gaps[r]).forEach((value, k) => { at[row[k]] = value; }));
    for (let sweep = 0; sweep < 12; sweep++) {
      for (const r of sweep % 2 ? [...ranks.keys()].reverse() : ranks.keys()) {
        const wanted = ranks[r].map((place) => {
          const near = [...before[place], ...after[place]];
          return near.length ? mean(near.map((other) => at[other])) : at[place];
        });
        apart(wanted, gaps[r]).forEach((value, k) => { at[ranks[r][k]] = value; });
      }
    }
    const least = Math.min(...ranks.flat().map((place) => at[place] - need(place) / 2));
    return at.map((value) => value - least);
  };

  return { ranked, across };
})();
