"use strict";
// The list of runs, the curves of those that are chosen, and runs started from here. The page asks the server
// again and again; what it shows is changed where an answer has changed. Its state stands in its address.
(() => {
  const EVERY = 2000, CURVES_EVERY = 1000;   // milliseconds between two questions
  const SHOWN = 200;                          // rows of the list at once
  const MOST = 20;                            // runs that are compared
  const DASHES = [undefined, "8 3", "2 3", "8 3 2 3"];
  const { html } = nnlab;
  const $ = (id) => document.getElementById(id);
  const words = (name) => name.replaceAll("/", " ").replaceAll("_", " ");

  // --- asking ---------------------------------------------------------------------------------------

  const tags = new Map();

  /** The answer as JSON; null where it is the one of before. */
  const ask = async (path, kind = path) => {
    const response = await fetch(path, { cache: "no-cache" });
    if (!response.ok) throw new Error((await response.text()).slice(0, 500));
    const tag = path + response.headers.get("etag");
    if (tags.get(kind) === tag) return null;
    const answer = await response.json();
    tags.set(kind, tag);
    return answer;
  };

  const many = (count) => `${count} ${count === 1 ? "run" : "runs"}`;

  /** Asks the server to do something; its message where it refuses. */
  const order = async (path, content) => {
    const response = await fetch(path, {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(content),
    });
    const text = await response.text();
    let answer = {};
    try { answer = JSON.parse(text); } catch { answer = { message: text }; }
    if (!response.ok) throw new Error(answer.message || `the server answered ${response.status}`);
    return answer;
  };

  /** The same; what the server refuses is told below the start. */
  const tried = async (path, content) => {
    refused("");
    try { await order(path, content); } catch (error) {
      refused(error.message);
      $("refused").scrollIntoView({ block: "nearest" });
    }
  };
  const refused = (text) => { $("refused").textContent = text; };

  const trouble = (text) => { if ($("trouble").textContent !== text) $("trouble").textContent = text; };

  /** Calls an asynchronous function for ever, with a pause between; not while nobody looks at the page. */
  const again = (work, pause) => {
    let timer = 0;
    const turn = async () => {
      clearTimeout(timer);
      let wait = pause;
      if (!document.hidden) {
        try {
          wait = (await work()) ?? pause;
          trouble("");
        } catch (error) {
          trouble(error instanceof TypeError
            ? "The lab does not answer: nnlab view has ended, or the connection is broken. The page tries again."
            : error.message);
        }
      }
      timer = setTimeout(turn, wait);
    };
    document.addEventListener("visibilitychange", () => { if (!document.hidden) turn(); });
    turn();
    return turn;
  };

  // --- state ----------------------------------------------------------------------------------------

  const address = new URLSearchParams(location.search);
  const state = {
    chosen: address.getAll("run").slice(0, MOST),
    find: address.get("find") || "",
    status: address.get("status") || "",
    sort: address.get("sort") || "-started",
    metric: address.get("metric") || "",
    part: address.get("of") || "",
  };
  let rows = [], jobs = [], shown = SHOWN;

  const keep = () => {
    const query = new URLSearchParams();
    state.chosen.forEach((key) => query.append("run", key));
    for (const key of ["find", "status", "metric"]) if (state[key]) query.set(key, state[key]);
    if (state.part) query.set("of", state.part);
    if (state.sort !== "-started") query.set("sort", state.sort);
    const text = String(query);
    history.replaceState(null, "", location.pathname + (text && `?${text}`) + location.hash);
  };

  // --- the list -------------------------------------------------------------------------------------

  const duration = (seconds) => {
    if (typeof seconds !== "number" || seconds > 1e9) return "";
    if (seconds < 90) return `${seconds.toFixed(0)} s`;
    return seconds < 5400 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(1)} h`;
  };
  const moment = (text) => {
    const date = new Date(text);
    return Number.isNaN(date.getTime()) ? text : date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  };
  const result = (row) => (row.metric ? `${row.result} ${words(row.metric)}` : "");
  const judged = (row) => (row.claims ? `${row.passed} of ${row.claims} pass` : "");

  // [key, title, what it is sorted by]
  const COLUMNS = [
    ["name", "run", (row) => row.name.toLowerCase()],
    ["experiment", "experiment", (row) => row.experiment || ""],
    ["status", "status", (row) => row.status],
    ["started", "started", (row) => Date.parse(row.started) || 0],
    ["seconds", "took", (row) => row.seconds ?? -1],
    ["result", "result", (row) => [row.metric || "", row.value ?? -Infinity]],
    ["claims", "claims", (row) => (row.claims ? row.passed / row.claims : -1)],
  ];
  const head = $("list").querySelector("thead tr");
  html("th", { scope: "col" }, head, "compare");
  const sorters = COLUMNS.map(([key, title]) => {
    const cell = html("th", { scope: "col" }, head);
    const button = html("button", { type: "button", class: "plain" }, cell, title);
    button.addEventListener("click", () => {
      state.sort = state.sort === key ? `-${key}` : key;
      keep();
      showList();
    });
    return { key, cell, button, title };
  });
  html("th", { scope: "col" }, head, "started here");

  const lines = new Map();  // key -> the row of the table

  /** A row of the table; its cells are filled again by each answer that changes them. */
  const newLine = (key) => {
    const tr = html("tr");
    const pick = html("input", { type: "checkbox" }, html("td", { "data-label": "compare" }, tr));
    pick.addEventListener("change", () => choose(key, pick.checked));
    const name = html("th", { scope: "row" }, tr);
    const link = html("a", { href: `/runs/${key.split("/").map(encodeURIComponent).join("/")}/report` }, name);
    const where = html("span", { class: "where" }, name);
    const cells = COLUMNS.slice(1).map(([, title]) => html("td", { "data-label": title }, tr));
    const word = html("span", { class: "status" }, cells[1]);
    const more = html("span", { class: "where" }, cells[1]);
    const actions = html("td", { "data-label": "started here" }, tr);
    return { tr, pick, link, where, cells, word, more, actions, job: "" };
  };

  const set = (element, text) => { if (element.textContent !== text) element.textContent = text; };

  const fill = (line, row) => {
    set(line.link, row.name);
    set(line.where, [row.folder, row.members].filter(Boolean).join(", "));
    line.pick.setAttribute("aria-label", `compare ${row.folder}`);
    line.pick.checked = state.chosen.includes(row.key);
    const [experiment, , started, seconds, value, claims] = line.cells;
    set(experiment, words(row.experiment || ""));
    set(line.word, row.status);
    line.word.className = `status ${/^[a-z]+$/.test(row.status) ? row.status : ""}`;
    set(line.more, row.status === "running" ? row.progress || "" : row.message || "");
    set(started, row.started ? moment(row.started) : "");
    set(seconds, duration(row.seconds));
    set(value, result(row));
    set(claims, judged(row));
    fillActions(line, row);
  };

  /** Buttons for runs that were started here. */
  const fillActions = (line, row) => {
    const job = jobs.find((one) => one.key === row.key);
    const word = job ? `${job.job} ${job.state} ${row.status}` : "";
    if (line.job === word) return;
    line.job = word;
    const focused = line.actions.contains(document.activeElement);
    line.actions.replaceChildren();
    if (!job) return;
    if (job.going) actButton(line.actions, job.state === "stopping" ? "Stop at once" : "Stop", row.name, "/api/stop", { job: job.job });
    else if (row.status !== "finished" && row.status !== "diverged") actButton(line.actions, "Resume", row.name, "/api/resume", { key: row.key });
    if (focused) (line.actions.firstChild ?? line.link).focus();
  };

  const actButton = (parent, label, name, path, content) => {
    const button = html("button", { type: "button", "aria-label": `${label}: ${name}` }, parent, label);
    button.addEventListener("click", async () => {
      button.disabled = true;
      await tried(path, content);
      button.disabled = false;
      askList();
    });
  };

  const matches = (row) => {
    if (state.status && row.status !== state.status) return false;
    const text = `${row.name} ${row.folder} ${row.experiment} ${words(row.experiment || "")} ${row.status} ${result(row)}`.toLowerCase();
    return state.find.toLowerCase().split(/\s+/).every((word) => text.includes(word));
  };

  const sorted = (found) => {
    const down = state.sort.startsWith("-");
    const by = (COLUMNS.find(([key]) => key === state.sort.replace("-", "")) || COLUMNS[3])[2];
    const keyed = found.map((row, i) => [by(row), i, row]);
    const order = (a, b) => (Array.isArray(a) ? order(a[0], b[0]) || order(a[1], b[1]) : a < b ? -1 : Number(a > b));
    keyed.sort(([a, i], [b, j]) => order(a, b) || i - j);
    if (down) keyed.reverse();
    return keyed.map(([, , row]) => row);
  };

  const showList = () => {
    const found = sorted(rows.filter(matches));
    const there = new Set(rows.map((row) => row.key));
    for (const [key, line] of lines) if (!there.has(key)) { line.tr.remove(); lines.delete(key); }
    const wanted = found.slice(0, shown).map((row) => {
      if (!lines.has(row.key)) lines.set(row.key, newLine(row.key));
      fill(lines.get(row.key), row);
      return lines.get(row.key).tr;
    });
    const body = $("list").querySelector("tbody");
    if (wanted.length !== body.rows.length || wanted.some((tr, i) => body.rows[i] !== tr)) {
      const focused = document.activeElement;
      body.replaceChildren(...wanted);
      if (focused && body.contains(focused)) focused.focus({ preventScroll: true });
    }
    for (const { key, cell, button, title } of sorters) {
      const now = state.sort.replace("-", "") === key ? (state.sort.startsWith("-") ? "descending" : "ascending") : null;
      if (now) cell.setAttribute("aria-sort", now); else cell.removeAttribute("aria-sort");
      set(button, now ? `${title} ${now === "ascending" ? "↑" : "↓"}` : title);
    }
    const running = rows.filter((row) => row.status === "running").length;
    set($("count"), (found.length === rows.length ? many(rows.length) : `${found.length} of ${many(rows.length)}`)
      + (running ? `, ${running} running` : "") + (rows.length ? "" : ": start one above, or in the playground"));
    $("more").hidden = found.length <= shown;
    set($("more"), `Show ${Math.min(SHOWN, found.length - shown)} more`);
    $("clear").hidden = state.chosen.length === 0;
    const options = [...new Set(rows.map((row) => row.status))].sort();
    if (options.join() !== [...$("status").options].slice(1).map((o) => o.value).join()) {
      $("status").replaceChildren($("status").options[0], ...options.map((word) => html("option", { value: word }, null, word)));
    }
    $("status").value = options.includes(state.status) ? state.status : "";
  };

  const askList = again(async () => {
    const answer = await ask("/api/runs");
    if (answer === null) return;
    ({ runs: rows, jobs } = answer);
    set($("root"), `Runs of ${answer.root}. Looking at them changes nothing in them.`);
    $("list").classList.toggle("watched", jobs.length === 0);
    showList();
    showJobs();
    $("compared").hidden = state.chosen.length === 0;
  }, EVERY);

  const choose = (key, on) => {
    state.chosen = on ? [...state.chosen, key] : state.chosen.filter((other) => other !== key);
    if (state.chosen.length > MOST) state.chosen.shift();
    keep();
    showList();
    $("compared").hidden = state.chosen.length === 0;
    askCurves();
  };

  $("find").value = state.find;
  $("find").addEventListener("input", () => { state.find = $("find").value; shown = SHOWN; keep(); showList(); });
  $("status").addEventListener("change", () => { state.status = $("status").value; shown = SHOWN; keep(); showList(); });
  $("more").addEventListener("click", () => { shown += SHOWN; showList(); });
  $("clear").addEventListener("click", () => { state.chosen = []; keep(); showList(); $("compared").hidden = true; $("find").focus(); });

  // --- the curves -----------------------------------------------------------------------------------

  let drawCurves = () => {}, askCurves = () => {};

  /** The names of runs; of those that share one, the names of their folders. */
  const namesOf = (keys) => {
    const found = keys.map((key) => rows.find((row) => row.key === key) ?? { name: key, folder: key });
    return found.map((row) => (found.filter(({ name }) => name === row.name).length > 1 ? row.folder : row.name));
  };

  nnlab.widget("growing-curves", (root) => {
    let answer = { metrics: [], metric: "", runs: {} };
    const select = (label, onChange) => {  // not the frame's: its options come and go
      const made = html("select", {}, html("label", {}, nnlab.controls(root), label));
      made.addEventListener("change", onChange);
      return made;
    };
    const metric = select("metric", () => { state.metric = metric.value; keep(); askCurves(); });
    const part = select("of", () => { state.part = part.value; keep(); draw(); });
    const logX = nnlab.check(root, { label: "steps on a logarithmic scale" }, draw);
    const logY = nnlab.check(root, { label: "values on a logarithmic scale" }, draw);
    const chart = nnlab.panel(root);
    const slider = nnlab.slider(root, { label: "read at step", min: 0, max: 1000, value: 1000, text: () => "" }, draw);
    const legend = nnlab.legend(root);
    const says = nnlab.says(root);

    const offer = (list, names, value) => {
      if ([...list.options].map((option) => option.value).join("\n") !== names.join("\n")) {
        list.replaceChildren(...names.map((name) => html("option", { value: name }, null, words(name) || "all")));
      }
      list.value = value;
    };

    drawCurves = (next) => {
      answer = next;
      offer(metric, answer.metrics, answer.metric);
      const parts = ["", ...new Set(Object.values(answer.runs).flatMap((run) => run.lines.map((line) => line.split)).filter(Boolean))];
      offer(part, parts, parts.includes(state.part) ? state.part : "");
      draw();
    };

    /** The lines with their styles: of several runs each has its colour, and each part of the data its dash. */
    const drawn = () => {
      const runs = Object.entries(answer.runs);
      const names = namesOf(runs.map(([key]) => key));
      const parts = [...part.options].map((option) => option.value).slice(1);
      const wide = nnlab.colours.length;
      return runs.flatMap(([, run], i) => run.lines.filter(({ split }) => !part.value || split === part.value).map((line) => {
        const k = Math.max(parts.indexOf(line.split), 0);
        const [colour, dash] = runs.length === 1 ? [k, Math.floor(k / wide)] : [i, Math.floor(i / wide) + (part.value ? 0 : k)];
        return {
          name: [runs.length > 1 ? names[i] : "", words(line.split)].filter(Boolean).join(", ") || words(answer.metric),
          seed: line.seed,
          points: line.points.flatMap((value, n) => (n % 2 ? [] : [[value, line.points[n + 1]]]))
            .filter(([a, b]) => (!logX.checked || a > 0) && (!logY.checked || b > 0)),
          stroke: nnlab.colours[colour % wide], dash: DASHES[dash % DASHES.length],
        };
      })).filter((line) => line.points.length > 0);
    };

    function draw() {
      const all = drawn();
      if (all.length === 0) {
        chart.replaceChildren();
        legend([]);
        says(logX.checked || logY.checked ? "No value is above 0: a logarithmic scale has no place for them." : "There are no curves yet.");
        return;
      }
      const ends = (k) => all.reduce(([a, b], { points }) => points.reduce(([c, d], p) => [Math.min(c, p[k]), Math.max(d, p[k])], [a, b]), [Infinity, -Infinity]);
      const [xs, ys] = [0, 1].map(ends).map(([low, high]) => (low < high ? [low, high] : [low - Math.abs(low) / 2 || -1, high + Math.abs(high) / 2 || 1]));
      const name = words(answer.metric);
      const { svg, x, y, box } = nnlab.axes(chart, {
        x: xs, y: ys, xLog: logX.checked, yLog: logY.checked, xLabel: "step", yLabel: name, label: `${name} over the steps of training`,
      });
      for (const { points, stroke, dash } of all) {
        if (points.length > 1) nnlab.line(svg, points.map(([a, b]) => [x(a), y(b)]), { stroke, "stroke-dasharray": dash });
        else nnlab.dot(svg, x(points[0][0]), y(points[0][1]), { fill: stroke });
      }
      const step = x.inverse(box.left + (slider.value / 1000) * (box.right - box.left));
      nnlab.line(svg, [[x(step), box.top], [x(step), box.bottom]], { class: "ink", stroke: null, "stroke-width": 1, "stroke-dasharray": "3 3" });
      const entries = new Map();  // the seeds of a group share a style, and an entry
      for (const { name: label, points, stroke, dash } of all) {
        const [a, b] = points.findLast(([at]) => at <= step * (1 + 1e-9)) || points[0];
        nnlab.dot(svg, x(a), y(b), { fill: stroke, r: 3.5 });
        if (!entries.has(label)) entries.set(label, { label, stroke, dash, values: [] });
        entries.get(label).values.push(b);
      }
      legend([...entries.values()].map(({ label, values, ...style }) => {
        const [low, high] = [Math.min(...values), Math.max(...values)].map((value) => nnlab.number(value));
        return { name: `${label}: ${low === high ? low : `${low} to ${high}`}${values.length > 1 ? `, ${values.length} seeds` : ""}`, ...style };
      }));
      slider.input.setAttribute("aria-valuetext", `step ${nnlab.number(step)}`);
      const read = Object.values(answer.runs).reduce((sum, run) => sum + run.rows, 0);
      const some = (what) => Object.values(answer.runs).some((run) => run[what]);
      const bad = Object.values(answer.runs).reduce((sum, run) => sum + run.unreadable, 0);
      says(`${name} at step ${nnlab.number(Math.round(step))}; ${read.toLocaleString("en")} rows read`
        + (answer.whole ? "" : " so far") + (some("left_out") ? "; there are more lines than are drawn" : "") + (bad ? `, ${bad} lines are damaged` : ""));
    }
    draw();
    return draw;
  });

  askCurves = again(async () => {
    if (state.chosen.length === 0) return undefined;
    const query = new URLSearchParams(state.chosen.map((key) => ["run", key]));
    const differences = await ask(`/api/differences?${query}`, "differences");
    if (differences) showDifferences(differences);
    if (state.metric) query.set("metric", state.metric);
    const answer = await ask(`/api/curves?${query}`, "curves");
    if (answer) drawCurves(answer);
    return answer && !answer.whole ? 0 : undefined;
  }, CURVES_EVERY);

  /** Configs and metrics side by side: one column for each run. */
  const showDifferences = ({ keys, metrics, runs }) => {
    const table = $("differences");
    const columns = Object.entries(runs);
    const titles = html("tr", {}, null);
    html("td", {}, titles);
    for (const name of namesOf(columns.map(([key]) => key))) html("th", { scope: "col" }, titles, name);
    const part = (labels, kind) => labels.map((label, i) => {
      const tr = html("tr");
      html("th", { scope: "row" }, tr, kind === "config" ? label : words(label));
      for (const [, run] of columns) html("td", {}, tr, run[kind][i]);
      return tr;
    });
    const body = html("tbody");
    body.append(...part(keys, "config"), ...part(metrics, "metrics"));
    const top = html("thead");
    top.append(titles);
    const caption = [keys.length ? "where the configs differ" : "", metrics.length ? "the results" : ""].filter(Boolean).join(", and ");
    table.replaceChildren(html("caption", {}, null, caption.replace(/^./, (c) => c.toUpperCase())), top, body);
    table.hidden = caption === "";
    $("compared-title").textContent = columns.length > 1 ? `Curves of ${columns.length} runs` : "Curves";
  };

  // --- starting -------------------------------------------------------------------------------------

  const showJobs = () => {
    const text = jobs.map((job) => `${job.job} ${job.state} ${job.key} ${job.said.at(-1)}`).join("\n");
    if ($("jobs").dataset.text === text) return;
    $("jobs").dataset.text = text;
    $("jobs").replaceChildren(...jobs.map((job) => {
      const item = html("li", { class: job.state === "failed" ? "bad" : "" });
      html("strong", {}, item, job.name);
      item.append(` ${job.state} `);
      if (!job.key && job.going) actButton(item, "Stop", job.name, "/api/stop", { job: job.job });
      const said = job.state === "failed" ? job.said.slice(-8) : job.said.slice(-1);
      if (said.length) html("pre", {}, item, said.join("\n"));
      return item;
    }));
  };

  let abouts = null;
  const loadConfig = async () => {
    const name = $("shipped").value;
    $("about").textContent = abouts[name];
    const response = await fetch(`/api/configs/${encodeURIComponent(name)}`);
    $("config").value = await response.text();
  };
  $("starting").addEventListener("toggle", async () => {
    if (!$("starting").open || abouts) return;
    abouts = await ask("/api/configs");
    $("shipped").replaceChildren(...Object.keys(abouts).map((name) => html("option", { value: name }, null, name)));
    $("shipped").value = "softmax_digits" in abouts ? "softmax_digits" : Object.keys(abouts)[0];
    await loadConfig();
  });
  $("shipped").addEventListener("change", loadConfig);
  $("start").addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = $("start").querySelector("button");
    button.disabled = true;
    await tried("/api/start", { config: $("config").value, name: $("shipped").value, seeds: $("seeds").valueAsNumber || 1 });
    button.disabled = false;
    askList();
  });
})();
