"use strict";
// The playground: what the server sends, drawn. All tabs see the same experiment.
(() => {
  const UNITS = 16;              // of a layer, that the server sends and the diagram draws
  const SLOW = 120;              // milliseconds between two drawings of a curve
  const MOST = 60;               // points that can be dragged
  const $ = (id) => document.getElementById(id);
  const { html, svg, number, colours, paint } = nnlab;
  const trouble = (text) => { if ($("trouble").textContent !== text) $("trouble").textContent = text; };
  const told = (text) => { $("told").textContent = text; };
  const whole = (value) => value.toLocaleString("en");

  // --- talking ----------------------------------------------------------------------------------------

  let socket = null;
  const send = (command) => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(command));
    else trouble("The lab does not answer. The page tries again.");
  };

  /** A packet: { …header, arrays: name → { data, shape } }. */
  const unpacked = (buffer) => {
    const length = new DataView(buffer).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    const types = { float32: Float32Array, uint8: Uint8Array, int8: Int8Array };
    for (const [name, { type, shape, at }] of Object.entries(header.arrays)) {
      header.arrays[name] = { data: new types[type](buffer, 4 + length + at, shape.reduce((a, b) => a * b, 1)), shape };
    }
    return header;
  };

  let state = null, loaded = null, frame = null, forecast = null, presets = [];
  let rows = { train: [], val: [], moved: [] };
  let palette = nnlab.palette();
  let frames = 0, fps = 0, tick = { time: performance.now(), step: 0, frames: 0 }, pace = 0;

  const connect = () => {
    socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/playground`);
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => {
      trouble("");
      if (location.hash.length > 1) send({ do: "address", text: location.hash });
    });
    socket.addEventListener("message", ({ data }) => {
      const message = typeof data === "string" ? JSON.parse(data) : unpacked(data);
      ({ state: takeState, begin, rows: takeRows, loaded: takeLoaded, frame: takeFrame, forecast: takeForecast, kept, trouble: ({ message: text }) => trouble(text) })[message.kind]?.(message);
    });
    socket.addEventListener("close", () => {
      trouble("The lab does not answer: nnlab view has ended, or the connection is broken. The page tries again.");
      for (const id of ["start", "step", "reset", "seed"]) $(id).disabled = true;
      setTimeout(connect, 1500);
    });
  };

  // --- the state --------------------------------------------------------------------------------------

  const form = nnlab.form($("form"), send);

  let yaml = "";
  const takeState = (next) => {
    if (next.state === "running" && state?.state !== "running") {
      tick = { time: performance.now(), step: frame?.step ?? 0, frames };
      pace = 0;
    }
    state = next;
    if (JSON.stringify(held) === JSON.stringify(state.values.data.points)) held = null;
    const others = form.show(state);
    const unfit = Object.keys(state.errors).length > 0 && "Something in the form does not fit: what is drawn and trained is the last experiment that did.";
    trouble([state.note, ...others, unfit].filter(Boolean).join(" "));
    const running = state.state === "running";
    $("start").textContent = running ? "Pause" : state.state === "finished" || state.state === "diverged" ? "Start again" : "Start";
    for (const id of ["start", "step", "reset", "seed"]) $(id).disabled = state.state === "starting" || state.state === "refused";
    $("pace").value = state.pace;
    $("preset").value = state.preset;
    $("sentence").textContent = presets.find(({ name }) => name === state.preset)?.sentence ?? "";
    // a text that does not fit stays, so that it can be mended
    if (document.activeElement !== $("yaml") && state.yaml !== yaml) $("yaml").value = yaml = state.yaml;
    $("status").textContent = { finished: ended(), diverged: `It diverged: ${state.message} Try a smaller step size.`, failed: state.message, starting: "The lab starts …" }[state.state] ?? "";
    const address = state.address ? `#${state.address}` : location.pathname;
    if (location.hash !== address) history.replaceState(null, "", address);
    drawn.clear();
    later();
  };

  const ended = () => {
    const test = Object.entries(state.metrics ?? {}).filter(([name]) => name.startsWith("test/"));
    const said = { r2: "R²", mae: "mean absolute error", rmse: "root mean square error", macro_f1: "macro F1" };
    const words = (name) => said[name] ?? name.replaceAll("_", " ");
    const which = state.best_epoch === undefined ? "" : `The weights after the last epoch are drawn; those after epoch ${whole(state.best_epoch)} were the best on the validation set, and are the ones that are tested. `;
    const { name, test: share } = state.values.data;
    return `Finished. ${which}On the ${name === "points" && !share ? "training points" : "test set"}: ${test.slice(0, 3).map(([name, value]) => `${words(name.slice(5))} ${number(value)}`).join(", ")}.`;
  };

  const begin = () => {
    rows = { train: [], val: [], moved: [] };
    frame = forecast = null;
    frames = 0;
    tick = { time: performance.now(), step: 0, frames };
    scrub.hidden = true;
    scrub.follow = true;
    form.limit(null, "");
  };

  const takeRows = ({ first, rows: more }) => {
    if (first === 0) rows = { train: [], val: [], moved: [] };
    const each = loaded?.steps_per_epoch ?? 1;
    for (const row of more) {
      // the loss of an epoch is the mean over its steps, each at the weights before it
      if (row.split === "train") rows.train.push([row.step === 0 ? 0 : Math.max(0, row.step - (each + 1) / 2), row.loss, row.accuracy]);
      if (row.split === "val") rows.val.push([row.step, row.loss, row.accuracy]);
      if (row.split === "weights") rows.moved.push([row.step, row.moved]);
    }
    later();
  };

  const takeLoaded = (message) => {
    loaded = message;
    scene = null;
    diagram = null;
    later();
  };

  const takeForecast = (message) => {
    forecast = message;
    const squared = forecast.squared !== false;
    form.limit(forecast.limit ?? null, squared ? "ηₘₐₓ" : "ηₘₐₓ at the start");
    later();
  };

  const takeFrame = (message) => {
    frame = message;
    frames += 1;
    now();
    soon();
  };

  // --- numbers ----------------------------------------------------------------------------------------

  const now = () => {
    const time = performance.now();
    if (time - tick.time > 1000) {
      const seconds = (time - tick.time) / 1000;
      pace = Math.max(0, frame.step - tick.step) / seconds;
      fps = (frames - tick.frames) / seconds;
      tick = { time, step: frame.step, frames };
      document.documentElement.dataset.fps = fps.toFixed(1);
      document.documentElement.dataset.pace = pace.toFixed(0);
    }
    const last = rows.train.at(-1), val = rows.val.at(-1);
    const parts = [["step", `${whole(frame.step)} of ${whole(loaded?.steps ?? 0)}`]];
    if (last) parts.push(["loss", number(last[1] ?? NaN, 3)]);
    if (last?.[2] !== undefined) parts.push(["accuracy", `${(100 * last[2]).toFixed(1)}%`]);
    if (val) parts.push(["validation loss", number(val[1] ?? NaN, 3)]);
    if (state?.state === "running" && pace) parts.push(["steps a second", whole(Math.round(pace))]);
    $("now").replaceChildren(...parts.map(([name, value]) => {
      const span = html("span", {}, null, `${name} `);
      html("b", {}, span, value);
      return span;
    }));
  };

  // --- the function -------------------------------------------------------------------------------------

  let scene = null, diagram = null;
  const [mainPlot, sidePlot] = document.querySelectorAll("#function .plot");
  const functionLegend = legendOf("function");
  const tools = document.querySelector("#function .tools");

  function legendOf(id) {
    const list = document.querySelector(`#${id} .legend`);
    const root = html("div", {});
    const show = nnlab.legend(root);
    list.replaceWith(root);
    let before = "";
    return (entries) => {
      const text = JSON.stringify(entries);
      if (text !== before) show(entries);
      before = text;
    };
  }

  const axis = (i) => loaded.arrays[`axis${i}`]?.data;
  const ends = (values) => [values[0], values.at(-1)];
  const isPlane = () => Boolean(loaded?.arrays.axis1);
  const isLine = () => Boolean(loaded?.arrays.axis0) && !isPlane();
  const classes = () => loaded.classes;
  const isOwn = () => state?.values.data.name === "points" && state.values.data.points.length <= MOST && !state.values.data.standardize_target;
  const isDrawn = () => state?.values.data.name === "regression_1d" && Array.isArray(state.values.data.function);

  /** Which handle has the keyboard, so that it keeps it when all of them are drawn anew. */
  const focused = () => document.activeElement?.dataset.handle?.split(",")[0];
  const focusAgain = (name) => {
    if (!name) return;
    [...mainPlot.querySelectorAll(".handle")].find((mark) => mark.dataset.handle.split(",")[0] === name)?.focus({ preventScroll: true });
  };

  const makeScene = () => {
    const name = focused();
    $("predicted").hidden = !isPlane();
    document.querySelector("#function figcaption").textContent = loaded.task === "classification" ? "Decision regions" : "The function that is learned";
    document.querySelector("#function .pair").classList.toggle("single", !isPlane());
    $("function").classList.toggle("editing", isOwn() || isDrawn());
    if (isPlane()) {
      const given = { x: ends(axis(0)), y: ends(axis(1)) };
      scene = { kind: "plane", main: nnlab.plane(mainPlot, { ...given, label: "what the network says at each point, with the training points" }) };
      scene.side = nnlab.plane(sidePlot, { ...given, label: "what the kernel at the start predicts at each point" });
      points(scene.side, false);
      points(scene.main, true);
      functionLegend(loaded.task === "classification"
        ? [...classes().map((name, i) => ({ name: `class ${name}`, stroke: colours[i % 8], mark: true })), ...heldOut()]
        : [{ name: "positive", fill: paint.positive }, { name: "negative", fill: paint.negative }]);
    } else if (isLine()) {
      scene = { kind: "line" };
      makeLine();
    } else {
      mainPlot.replaceChildren(html("p", { class: "where" }, null, `A function of ${loaded.inputs} inputs is not drawn; the other drawings are.`));
      functionLegend([]);
      scene = { kind: "none" };
    }
    makeTools();
    focusAgain(name);
  };

  const heldOut = () => (loaded.arrays.val_x ? [{ name: "held out for validation", stroke: paint.ink, mark: "hollow" }] : []);

  const makeLine = () => {
    const sets = ["train_y", "truth_y"].flatMap((name) => [...loaded.arrays[name]?.data ?? []]);
    const own = loaded.task === "classification" ? [0, 1] : sets;
    const knots = isDrawn() ? state.values.data.function.map(([, y]) => y) : [];
    const [low, high] = [Math.min(...own, ...knots), Math.max(...own, ...knots)];
    const margin = 0.25 * (high - low) || 1;
    const axes = nnlab.axes(mainPlot, {
      x: ends(axis(0)), y: loaded.task === "classification" ? [-0.05, 1.05] : [low - margin, high + margin],
      xLabel: "x", yLabel: loaded.task !== "classification" ? "f(x)" : form.at("loss.name") === "squared_error" ? "score of each class" : "probability of each class", ratio: 0.55,
      label: "the function of the network, its prediction from the start, and the training points",
    });
    axes.svg.classList.add("plane");
    const clip = svg("clipPath", { id: "inside" }, axes.svg);
    svg("rect", { x: axes.box.left, y: axes.box.top, width: axes.box.right - axes.box.left, height: axes.box.bottom - axes.box.top }, clip);
    const inside = svg("g", { "clip-path": "url(#inside)" }, axes.svg);
    const path = (values) => svg("path", { fill: "none", "stroke-linejoin": "round", "stroke-width": 2.6, ...values }, inside);
    scene.main = axes;
    if (loaded.arrays.truth_x) {
      const { truth_x: x, truth_y: y } = loaded.arrays;
      nnlab.line(inside, [...x.data].map((a, i) => [axes.x(a), axes.y(y.data[i])]), { stroke: paint.muted, "stroke-width": 1.6, "stroke-dasharray": "2 3" });
    }
    const count = loaded.task === "classification" ? loaded.classes.length : loaded.outputs;
    scene.lines = {
      predicted: Array.from({ length: count }, (_, i) => path({ stroke: colours[loaded.task === "classification" ? i % 8 : 2], "stroke-dasharray": "8 5" })),
      infinite: Array.from({ length: count }, (_, i) => path({ stroke: colours[loaded.task === "classification" ? i % 8 : 4], "stroke-dasharray": "2 4" })),
      network: Array.from({ length: count }, (_, i) => path({ stroke: colours[i % 8] })),
    };
    points(axes, true);
    knotsOf(axes);
    if (isDrawn()) axes.svg.addEventListener("pointerdown", drawing);
  };

  /** The training points; those of one's own can be moved. */
  const points = (axes, editable) => {
    for (const [name, hollow] of [["val", true], ["train", false]]) {
      const [x, y] = [loaded.arrays[`${name}_x`], loaded.arrays[`${name}_y`]];
      if (!x) continue;
      const d = x.shape[1];
      const own = editable && isOwn() && name === "train" && !state.values.data.test && !state.values.data.validation;
      const size = y.data.length > 400 ? 2.6 : 4.5;
      for (let i = 0; i < y.shape[0]; i++) {
        const label = loaded.task === "classification" ? y.data[i] : 0;
        const fill = loaded.task === "classification" ? colours[label % 8] : paint.ink;
        const value = y.data[i * y.shape[1]];
        const at = d === 2 ? [x.data[2 * i], x.data[2 * i + 1]] : [x.data[i], loaded.task === "classification" ? 0 : value];
        if (own) ownPoint(axes, i, at, fill);
        else nnlab.dot(axes.svg, axes.x(at[0]), axes.y(at[1]), { fill: d === 2 && loaded.task !== "classification" ? (value < 0 ? colours[1] : colours[0]) : fill, r: size, hollow, class: hollow ? "held-out" : "mark" });
      }
    }
    if (editable && isOwn()) {
      axes.svg.addEventListener("pointerdown", (event) => {
        if (event.target.closest(".handle") || event.button !== 0) return;
        const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(axes.svg.getScreenCTM().inverse());
        const { box } = axes;
        if (at.x < box.left || at.x > box.right || at.y < box.top || at.y > box.bottom) return;
        place(axes.x.inverse(at.x), axes.y.inverse(at.y));
      });
    }
  };

  // --- points of one's own --------------------------------------------------------------------------------

  let chosen = 0;                 // the class that new points get
  let held = null;                // points while one is dragged
  let waiting = 0, leave = 0;
  const rounded = (v) => Number(v.toFixed(3));
  const ownPoints = () => held ?? state.values.data.points;
  const givePoints = (all, pause = 0) => {
    held = all;
    clearTimeout(waiting);
    clearTimeout(leave);
    waiting = setTimeout(() => {
      send({ do: "set", values: { "data.points": held } });
      leave = setTimeout(() => { held = null; }, 1000); // until the answer has come, the next click builds on these
    }, pause);
  };
  const place = (a, b) => {
    const all = ownPoints();
    if (all.length >= MOST) { told(`At most ${MOST} points can be placed by hand.`); return; }
    const plain = all[0].length === 2;
    givePoints([...all, plain ? (loaded.task === "classification" ? [rounded(a), chosen] : [rounded(a), rounded(b)]) : [rounded(a), rounded(b), chosen]]);
  };
  const ownPoint = (axes, i, at, fill) => {
    const point = ownPoints()[i];
    if (!point) return;
    const regression = loaded.task !== "classification";
    const names = classes();
    const mark = nnlab.handle(axes.svg, {
      x: axes.x(at[0]), y: axes.y(at[1]), fill, r: 7, value: rounded(at[0]),
      label: `point ${i + 1}${regression ? "" : `, class ${names[point.at(-1)]}`}`,
      text: `${number(at[0], 3)}, ${number(at[1], 3)}`,
      onMove: (px, py) => moveTo(i, axes.x.inverse(px), axes.y.inverse(py)),
      keys: (dx, dy) => {
        const step = (axes.x.inverse(axes.box.right) - axes.x.inverse(axes.box.left)) / 60;
        const [a, b] = ownPoints()[i];
        moveTo(i, a + dx * step, (b ?? 0) + dy * step);
      },
    });
    mark.addEventListener("keydown", (event) => {
      const all = ownPoints();
      const digit = Number(event.key);
      if (event.key === "Delete" || event.key === "Backspace") {
        event.preventDefault();
        if (all.length > 1) givePoints(all.filter((_, j) => j !== i));
      } else if (!regression && event.key.trim() && Number.isInteger(digit) && digit <= names.length && digit < 8) {
        givePoints(all.map((p, j) => (j === i ? [...p.slice(0, -1), digit] : p)));
      }
    });
  };
  const moveTo = (i, a, b) => {
    if (!scene) return; // the answer to an earlier move has come, and is not drawn yet
    const flat = ownPoints()[i].length === 2 && loaded.task === "classification";
    const all = ownPoints().map((p, j) => (j !== i ? p : [rounded(a), ...(flat ? [] : [rounded(b)]), ...p.slice(flat ? 1 : 2)]));
    const { data, shape } = loaded.arrays.train_x;
    data[i * shape[1]] = a;
    if (shape[1] === 2) data[i * 2 + 1] = b;
    else if (!flat) loaded.arrays.train_y.data[i] = b;
    givePoints(all, 150);
    redrawPoints();
  };
  const redrawPoints = () => {
    scene.main.svg.querySelectorAll(".handle, .mark").forEach((mark) => mark.remove());
    points(scene.main, false);
    scene.main.svg.querySelectorAll(".mark").forEach((mark) => mark.remove());
    drawOwn();
  };
  const drawOwn = () => {
    const { train_x: x, train_y: y } = loaded.arrays;
    for (let i = 0; i < y.shape[0]; i++) {
      const fill = loaded.task === "classification" ? colours[y.data[i] % 8] : paint.ink;
      ownPoint(scene.main, i, x.shape[1] === 2 ? [x.data[2 * i], x.data[2 * i + 1]] : [x.data[i], loaded.task === "classification" ? 0 : y.data[i]], fill);
    }
  };

  // --- a drawn function -------------------------------------------------------------------------------------

  let knots = null;
  const giveKnots = (next) => {
    knots = next;
    clearTimeout(waiting);
    waiting = setTimeout(() => { send({ do: "set", values: { "data.function": knots } }); knots = null; }, 150);
    scene.main.svg.querySelectorAll(".handle, .drawn-line").forEach((mark) => mark.remove());
    knotsOf(scene.main);
  };
  const allKnots = () => knots ?? state.values.data.function;
  const moveKnot = (i, b) => scene && giveKnots(allKnots().map(([a, old], j) => (j === i ? [a, rounded(b)] : [a, old])));
  /** The pointer draws: it takes the knot above or below it, whichever it began with. */
  const drawAt = (px, py) => {
    if (!scene) return;
    const at = scene.main.x.inverse(px);
    moveKnot(allKnots().reduce((best, [x], j, all) => (Math.abs(x - at) < Math.abs(all[best][0] - at) ? j : best), 0), scene.main.y.inverse(py));
  };
  const drawing = (event) => {
    if (event.button !== 0 || event.target.closest(".handle")) return;
    event.preventDefault();
    const end = new AbortController();
    const draw = ({ clientX, clientY }) => {
      if (!scene) return;
      const at = new DOMPoint(clientX, clientY).matrixTransform(scene.main.svg.getScreenCTM().inverse());
      drawAt(at.x, at.y);
    };
    draw(event);
    addEventListener("pointermove", draw, { signal: end.signal });
    for (const last of ["pointerup", "pointercancel"]) addEventListener(last, () => end.abort(), { signal: end.signal });
  };
  const knotsOf = (axes) => {
    if (!isDrawn()) return;
    const all = allKnots();
    nnlab.line(axes.svg, all.map(([a, b]) => [axes.x(a), axes.y(b)]), { stroke: colours[3], "stroke-width": 1.6, class: "drawn-line" });
    all.forEach(([a, b], i) => nnlab.handle(axes.svg, {
      x: axes.x(a), y: axes.y(b), r: 6, fill: colours[3], value: b, label: `f at x = ${number(a, 3)}`, text: number(b, 3),
      onMove: drawAt,
      keys: (dx, dy) => moveKnot(i, b + 0.05 * (dy || dx)),
    }));
  };

  // --- tools below the function ----------------------------------------------------------------------------

  const scrub = { hidden: true, follow: true, input: null };

  const makeTools = () => {
    tools.replaceChildren();
    const label = html("label", {}, tools, "predicted after ");
    const input = html("input", { type: "range", min: 0, max: 1, step: 1, value: 0, "aria-label": "steps of the prediction" }, label);
    const shown = html("output", {}, label);
    const box = html("input", { type: "checkbox" });
    const follow = html("label", {}, tools);
    follow.append(box, " with the training");
    box.checked = scrub.follow;
    box.addEventListener("change", () => { scrub.follow = box.checked; drawFrame(); });
    input.addEventListener("input", () => { scrub.follow = box.checked = false; tellSteps(); drawFrame(); });
    const tellSteps = () => {
      const steps = forecast?.arrays.steps?.data;
      shown.textContent = steps ? `${whole(Math.round(steps[input.valueAsNumber]))} steps` : "";
      input.setAttribute("aria-valuetext", shown.textContent);
    };
    Object.assign(scrub, { input, tell: tellSteps, rows: [label, follow] });
    showSteps();
    if (isOwn()) {
      const names = classes();
      if (loaded.task === "classification") {
        const most = Math.min(8, names.length + 1);
        chosen = Math.min(chosen, most - 1);
        const select = html("select", {}, html("label", {}, tools, "new points are of class "));
        for (let k = 0; k < most; k++) html("option", { value: k }, select, names[k] ?? `${k} (new)`);
        select.value = chosen;
        select.addEventListener("change", () => { chosen = Number(select.value); });
      }
      const add = html("button", { type: "button" }, tools, "Add a point");
      add.addEventListener("click", () => {
        const spot = (i) => (axis(i) ? axis(i)[0] + (0.3 + 0.4 * Math.random()) * (axis(i).at(-1) - axis(i)[0]) : 0);
        place(spot(0), spot(1));
      });
      html("span", { class: "where" }, tools, "Click for a new point, drag one to move it; with the keyboard: arrows move, a digit gives the class, Delete removes.");
    }
    if (isDrawn()) html("span", { class: "where" }, tools, "Drag over the drawing to draw the function; with the keyboard: arrows move a dot.");
  };

  // --- a frame -----------------------------------------------------------------------------------------

  /** The moment of the forecast at a number of steps: its index and the share to the next one. */
  const moment = () => {
    const steps = forecast?.arrays.steps?.data;
    if (!steps) return null;
    if (!scrub.follow) return [scrub.input.valueAsNumber, 0];
    const step = frame?.step ?? 0;
    let i = 0;
    while (i + 1 < steps.length && steps[i + 1] <= step) i++;
    return [i, i + 1 < steps.length ? (step - steps[i]) / (steps[i + 1] - steps[i]) : 0];
  };

  const regionColour = (best, sure) => {
    const least = 1 / Math.max(2, loaded.classes.length);
    return nnlab.mixed(palette.paper, palette.classes[best % 8], 0.12 + 0.5 * Math.max(0, (sure / 255 - least) / (1 - least)));
  };

  const paintPlane = (axes, { data, shape }, offset, scale) => {
    const [n, m] = shape;
    if (data instanceof Uint8Array) axes.paint(nnlab.image(n, m, (i, j) => regionColour(data[offset + 2 * (i * m + j)], data[offset + 2 * (i * m + j) + 1])));
    else {
      const stride = shape[2] ?? 1;
      axes.paint(nnlab.image(n, m, (i, j) => {
        const v = data[offset + stride * (i * m + j)] / scale;
        return nnlab.mixed(palette.paper, v < 0 ? palette.negative : palette.positive, 0.8 * Math.min(1, Math.abs(v)));
      }));
    }
  };

  let drawnFrame = null, drawnAt = -1;

  const drawFrame = () => {
    if (!frame || !loaded || frame.number !== loaded.number) return;
    if (!scene) makeScene();
    const place_ = moment();
    if (scene.kind === "plane") {
      const scale = Math.max(1e-9, ...(loaded.arrays.train_y?.data ?? []).map(Math.abs));
      if (drawnFrame !== frame) paintPlane(scene.main, frame.arrays.regions ?? frame.arrays.function, 0, scale);
      const known = forecast?.arrays.function;
      if (known && place_) {
        const at = place_[0] + (place_[1] >= 0.5 ? 1 : 0);
        const side = Math.round(Math.sqrt(known.shape[1]));
        if (drawnAt !== at || drawnFrame === null) paintPlane(scene.side, { data: known.data, shape: [side, side, known.shape[2]] }, at * known.shape[1] * known.shape[2], scale);
        drawnAt = at;
      }
      $("predicted").style.visibility = known ? "visible" : "hidden";
      $("predicted").hidden = forecast?.known === false;
    } else if (scene.kind === "line") {
      const x = axis(0);
      const draw = (paths, array, first, second, share) => paths.forEach((path, c) => {
        if (!array) { path.removeAttribute("d"); return; }
        const count = paths.length;
        let d = "", lost = false;
        for (let i = 0; i < x.length; i++) {
          const v = array[first + i * count + c], w = share ? array[second + i * count + c] : v;
          const y = scene.main.y(v + share * (w - v));
          lost ||= !(Math.abs(y) < 1e5);
          d += `${i ? "L" : "M"}${scene.main.x(x[i]).toFixed(1)} ${y.toFixed(1)}`;
        }
        path.setAttribute("d", lost ? "" : d); // what grows without end is no line any more
      });
      const { network, predicted, infinite } = scene.lines;
      draw(network, frame.arrays.function?.data, 0, 0, 0);
      for (const [paths, name] of [[predicted, "function"], [infinite, "infinite"]]) {
        const known = forecast?.arrays[name];
        const size = known ? known.shape[1] * known.shape[2] : 0;
        draw(paths, place_ && known?.data, place_ ? place_[0] * size : 0, place_ ? (place_[0] + (place_[1] ? 1 : 0)) * size : 0, place_?.[1] ?? 0);
      }
      const named = loaded.task === "classification" ? loaded.classes.map((name, i) => ({ name: `class ${name}`, stroke: colours[i % 8] })) : [{ name: "the network", stroke: colours[0] }];
      const tone = loaded.task === "classification" ? [paint.ink, paint.ink] : [colours[2], colours[4]];
      functionLegend([
        ...named,
        ...(forecast?.arrays.function ? [{ name: "predicted from its start", stroke: tone[0], dash: "8 5" }] : []),
        ...(forecast?.arrays.infinite ? [{ name: "infinite width, mean", stroke: tone[1], dash: "2 4" }] : []),
        ...(loaded.arrays.truth_x ? [{ name: "the function to learn", stroke: paint.muted, dash: "2 3" }] : []),
      ]);
    }
    drawNetwork();
    drawnFrame = frame;
    performance.mark("frame drawn");
    document.documentElement.dataset.frame = `${frame.number}/${frame.step}`;
    scheduleSlow();
  };

  const drawNetwork = () => {
    const panel = document.querySelector("#network .plot");
    if (!diagram) {
      diagram = nnlab.diagram(panel, loaded.layers, UNITS);
      const named = loaded.layers.slice(1, -1).map((n, i) => `${whole(n)} units in layer ${i + 1}`);
      diagram.canvas.setAttribute("aria-label", `a network: ${[`${loaded.inputs} inputs`, ...named, `${loaded.outputs} outputs`].join(", ")}; each unit shows its response`);
      document.querySelector("#network .where").textContent = `${whole(loaded.parameters)} parameters. Positive is blue, negative is vermillion and, for weights, dashed.`;
      diagram.inputs = inputPictures();
    }
    const weights = [];
    for (let l = 0; frame.arrays[`w${l}`]; l++) weights.push(frame.arrays[`w${l}`]);
    const pictures = [diagram.inputs];
    for (let l = 0; l + 1 < loaded.layers.length; l++) {
      const unit = frame.arrays[`unit${l}`];
      if (!unit) { pictures.push([]); continue; }
      const size = unit.shape.slice(1).reduce((a, b) => a * b, 1);
      pictures.push(Array.from({ length: unit.shape[0] }, (_, i) => nnlab.response(unit.data.subarray(i * size, (i + 1) * size), unit.shape.slice(1), palette)));
    }
    diagram.draw(weights, pictures, palette);
  };

  const inputPictures = () => {
    if (isPlane()) {
      const ramp = (f) => nnlab.response(Int8Array.from({ length: 441 }, (_, k) => 12.7 * (f(Math.floor(k / 21), k % 21) - 10)), [21, 21], palette);
      return [ramp((i) => i), ramp((_, j) => j)];
    }
    return isLine() ? [nnlab.response(Int8Array.from({ length: 21 }, (_, k) => 12.7 * (k - 10)), [21], palette)] : [];
  };

  // --- curves ------------------------------------------------------------------------------------------

  const legends = Object.fromEntries(["loss", "moved", "spectrum"].map((id) => [id, legendOf(id)]));
  const plot = (id) => document.querySelector(`#${id} .plot`);
  let timer = 0, drawn = new Set();

  const scheduleSlow = () => { timer ||= setTimeout(() => { timer = 0; drawSlow(); }, SLOW); };
  let asked = false;
  const soon = () => {
    if (!asked) requestAnimationFrame(() => { asked = false; drawFrame(); });
    asked = true;
  };
  const later = () => { soon(); scheduleSlow(); };

  const pairs = (x, y) => (x && y ? [...x.data].map((a, i) => [a, y.data[i]]) : []);

  const drawSlow = () => {
    if (!loaded) return;
    const known = forecast?.arrays ?? {};
    nnlab.curves(plot("loss"), legends.loss, [
      { name: "predicted from its start", points: pairs(known.steps, known.loss), stroke: colours[2], dash: "8 5" },
      { name: "infinite width, mean", points: pairs(known.steps, known.infinite_loss), stroke: colours[4], dash: "2 4" },
      { name: "validation", measured: true, points: rows.val, stroke: colours[1], dash: "10 3 2 3" },
      { name: "training", measured: true, points: rows.train, stroke: colours[0] },
    ], { label: "loss over steps, trained and predicted", marks: frame?.step ? [{ x: frame.step }] : [] });
    nnlab.curves(plot("moved"), legends.moved, [
      { name: "predicted from its start", points: pairs(known.steps, known.moved), stroke: colours[2], dash: "8 5" },
      { name: "trained", measured: true, points: rows.moved, stroke: colours[0] },
    ], { label: "relative distance of the weights from their start over steps", log: false });
    drawSpectrum(known);
    showSteps();
  };

  /** Sets the slider of the prediction to where the training is, or leaves it where it was put. */
  const showSteps = () => {
    const known = forecast?.arrays ?? {};
    for (const row of scrub.rows ?? []) row.hidden = !known.steps || !known.function;
    if (!known.steps || !scrub.input) return;
    scrub.input.max = known.steps.data.length - 1;
    if (scrub.follow) scrub.input.value = moment()[0];
    scrub.tell();
  };

  const drawSpectrum = (known) => {
    const key = `${loaded.number} ${Object.keys(known)} ${plot("spectrum").clientWidth}`;
    if (drawn.has(key)) return;
    drawn.clear();
    drawn.add(key);
    const ranked = (name) => [...known[name]?.data ?? []].map((v, i) => [i + 1, v]);
    nnlab.curves(plot("spectrum"), legends.spectrum, [
      { name: "infinite width", points: ranked("infinite_eigenvalues"), stroke: colours[4], dash: "2 4" },
      { name: "this network at its start", points: ranked("eigenvalues"), stroke: colours[0] },
    ], { label: "eigenvalues in descending order", xLabel: "rank", xLog: true });
    const said = forecast ? [] : ["The prediction is being computed …"];
    if (forecast?.limit) {
      const { lr } = forecast;
      const which = forecast.squared ? "2/λₘₐₓ of the loss" : "2/λₘₐₓ of the loss at the start";
      said.push(`Gradient descent is stable up to the step size ηₘₐₓ = ${number(forecast.limit, 3)}, ${which}; here η = ${number(lr, 3)}, ${lr < forecast.limit ? "below it" : "above it"}.`);
    }
    document.querySelector("#spectrum .where").textContent = [...said, ...forecast?.notes ?? []].join(" ");
  };

  // --- out of it ---------------------------------------------------------------------------------------

  const kept = ({ run, message }) => {
    $("kept").replaceChildren();
    if (message) $("kept").textContent = `The run could not be kept: ${message}`;
    else {
      $("kept").append("Kept: ");
      html("a", { href: `/runs/${run.split("/").map(encodeURIComponent).join("/")}/report` }, $("kept"), run);
    }
    $("keep").disabled = false;
  };

  const file = async (path, name) => {
    const answer = await fetch(path);
    if (!answer.ok) { trouble((await answer.json().catch(() => ({}))).message ?? `the server answered ${answer.status}`); return; }
    const link = html("a", { href: URL.createObjectURL(await answer.blob()), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };

  // --- start -------------------------------------------------------------------------------------------

  const start = async () => {
    const answer = await (await fetch("/api/playground/state")).json();
    presets = answer.presets;
    form.begin(answer.choices);
    for (const { name } of presets) html("option", { value: name }, $("preset"), name);
    for (const steps of answer.paces) html("option", { value: steps }, $("pace"), steps ? `${steps} steps a second` : "as fast as possible");
    $("preset").addEventListener("change", () => {
      if ($("preset").value) send({ do: "preset", name: $("preset").value });
    });
    $("start").addEventListener("click", () => {
      performance.mark("start clicked");
      send({ do: state.state === "running" ? "pause" : "start" });
    });
    for (const order of ["step", "reset", "seed"]) $(order).addEventListener("click", () => send({ do: order }));
    $("pace").addEventListener("change", () => send({ do: "pace", steps: Number($("pace").value) }));
    $("apply").addEventListener("click", () => { $("apply").focus(); send({ do: "yaml", text: $("yaml").value }); });
    $("form").addEventListener("submit", (event) => event.preventDefault());
    $("link").addEventListener("click", async () => {
      if (!state.address) { told("There are too many points for an address: save the YAML."); return; }
      await navigator.clipboard.writeText(location.href).then(() => told("Copied."), () => told("The address is that of this page."));
    });
    $("gif").addEventListener("click", () => file("/api/playground/gif", "training.gif"));
    $("keep").addEventListener("click", async () => {
      $("keep").disabled = true;
      $("kept").textContent = "nnlab train runs it once more, up to where it is, into the folder of runs …";
      await fetch("/api/playground/keep", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ name: $("run-name").value.trim() }) });
    });
    addEventListener("hashchange", () => { if (location.hash.length > 1 && location.hash !== `#${state?.address}`) send({ do: "address", text: location.hash }); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { palette = nnlab.palette(); scene = diagram = null; later(); });
    let width = innerWidth;
    addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; scene = diagram = null; drawn.clear(); later(); } });
    connect();
  };

  start();
})();
