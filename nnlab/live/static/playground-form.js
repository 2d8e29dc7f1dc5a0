"use strict";
// The form of the playground: a field for each key of the experiment that matters here. A change goes to the
// server, which checks it as it checks YAML; what is wrong stands below the field.
Object.assign(nnlab, {
  form: (root, send) => {
    const { html, number } = nnlab;
    const WORDS = {
      xor: "XOR", two_moons: "two moons", spirals: "spirals", blobs: "Gaussian clouds", regression_1d: "a function of x", points: "your own points",
      sine: "sin πx", step: "a step at 0", abs: "|x|", cubic: "4x³ − 3x",
      sigmoid: "sigmoid", tanh: "tanh", relu: "ReLU", leaky_relu: "leaky ReLU", maxout: "maxout", elu: "ELU", gelu: "GELU", erf: "erf", ripple: "ripple",
      standard: "standard", ntk: "NTK", mup: "µP",
      cross_entropy: "cross-entropy", squared_error: "squared error", mean: "mean", sum: "sum",
      none: "none", l2: "λ Σ w²", l1: "λ Σ |w|", elastic_net: "λ Σ (βw² + |w|)",
      sgd: "SGD", adam: "Adam", adamw: "AdamW", lbfgs: "L-BFGS", classification: "classes", regression: "numbers",
    };
    const words = (name) => WORDS[name] ?? String(name).replaceAll("_", " ");
    let state = null, choices = {};
    const fields = new Map();     // key -> { row, input, wrong, show }
    const at = (key) => key.split(".").reduce((values, part) => values?.[part], state.values);

    const set = (values) => send({ do: "set", values });
    /** What a text of a number field stands for: a number, nothing, or the text, which the server refuses with words. */
    const read = (text) => {
      const plain = text.trim().replace("−", "-");
      if (plain === "") return null;
      return Number.isFinite(Number(plain)) ? Number(plain) : text;
    };

    let count = 0;
    const field = (parent, key, label, make, { when = () => true, show, wide = false } = {}) => {
      const id = `field-${count++}`;
      const row = html("div", { class: `row${wide ? " wide" : ""}` }, parent);
      html("label", { for: id }, row, label);
      const input = make(row, id);
      input.setAttribute("aria-describedby", `${id}-wrong`);
      const wrong = html("p", { class: "wrong", id: `${id}-wrong` }, row);
      fields.set(key, { row, input, wrong, when, show: show ?? (() => { input.value = at(key) ?? ""; }) });
      return input;
    };
    const numeric = (parent, key, label, options = {}) => field(parent, key, label, (row, id) => {
      const input = html("input", { id, type: "text", inputmode: "decimal", spellcheck: "false" }, row);
      input.addEventListener("change", () => set({ [key]: read(input.value) }));
      return input;
    }, options);
    const choice = (parent, key, label, names, options = {}) => field(parent, key, label, (row, id) => {
      const select = html("select", { id }, row);
      for (const name of names) html("option", { value: name }, select, words(name));
      select.addEventListener("change", () => (options.onChange ?? ((value) => set({ [key]: value })))(select.value));
      return select;
    }, options);
    const check = (parent, key, label, options = {}) => {
      const input = field(parent, key, label, (row, id) => {
        const box = html("input", { id, type: "checkbox" }, row);
        box.addEventListener("change", () => set({ [key]: box.checked }));
        return box;
      }, { show: () => { input.checked = Boolean(at(key)); }, ...options });
      return input;
    };
    const group = (title) => {
      const set_ = html("fieldset", {}, root);
      html("legend", {}, set_, title);
      return set_;
    };

    // --- data ---------------------------------------------------------------------------------------

    const is = (...names) => () => names.includes(at("data.name"));
    const drawn = () => Array.isArray(at("data.function"));
    const START = [[-1, -1, 0], [1, 1, 0], [-1, 1, 1], [1, -1, 1]];

    const makeData = () => {
      const data = group("Data");
      choice(data, "data.name", "data", choices["data.name"], {
        onChange: (name) => set({ "data.name": name, ...(name === "points" ? { "data.points": START, "data.task": null } : {}) }),
      });
      const kind = choice(data, "data.function kind", "function", [...choices["data.function"], "typed", "drawn"], {
        when: is("regression_1d"),
        onChange: (name) => set({ "data.function": { typed: "sin(3*x) + x^2", drawn: nnlab.form.level() }[name] ?? name }),
        show: () => {
          const f = at("data.function");
          kind.value = drawn() ? "drawn" : choices["data.function"].includes(f) ? f : "typed";
        },
      });
      const typed = field(data, "data.function", "f(x) =", (row, id) => {
        const input = html("input", { id, type: "text", spellcheck: "false" }, row);
        input.addEventListener("change", () => set({ "data.function": input.value }));
        return input;
      }, { wide: true, when: () => is("regression_1d")() && !drawn() && !choices["data.function"].includes(at("data.function")), show: () => { typed.value = at("data.function"); } });
      numeric(data, "data.examples", "examples", { when: () => !is("points")() });
      numeric(data, "data.noise", "noise", { when: is("xor", "two_moons", "spirals", "regression_1d") });
      numeric(data, "data.classes", "classes", { when: is("spirals", "blobs") });
      numeric(data, "data.turns", "turns", { when: is("spirals") });
      numeric(data, "data.radius", "distance from the centre", { when: is("blobs") });
      numeric(data, "data.spread", "width of a cloud", { when: is("blobs") });
      numeric(data, "data.validation", "share held out for validation");
      check(data, "data.standardize", "inputs to mean 0, variance 1");
      field(data, "data.points", "", (row) => html("span", {}, row), { when: is("points"), wide: true, show: () => {} });
      makeDrop(data);
    };

    // --- a table of one's own -------------------------------------------------------------------------

    const makeDrop = (parent) => {
      const box = html("div", { id: "drop" }, parent);
      const id = "table-file";
      html("label", { for: id }, box, "Or a table: drop a CSV file here, or choose it. ");
      const input = html("input", { type: "file", id, accept: ".csv,.tsv,.txt,text/csv" }, box);
      const asked = html("div", {}, box);
      const wrong = html("p", { class: "wrong", role: "alert" }, box);
      const take = async (file) => {
        wrong.textContent = "";
        asked.replaceChildren();
        if (file.size > 4 * 2 ** 20) { wrong.textContent = `${file.name} has more than 4 MB.`; return; }
        const head = (await file.slice(0, 10_000).text()).split(/\r?\n/, 1)[0].replace(/^\ufeff/, "");
        const mark = [";", "\t", ",", "|"].find((m) => head.includes(m)) ?? ",";
        const columns = head.split(mark).map((name) => name.trim().replace(/^"|"$/g, "")).filter(Boolean).slice(0, 100);
        ask(file, columns);
      };
      const ask = (file, columns) => {
        const { name } = file;
        const row = html("p", { class: "controls" }, asked);
        const pick = (label, options, value) => {
          const select = html("select", {}, html("label", {}, row, `${label} `));
          for (const [key, said] of options) html("option", { value: key }, select, said);
          if (value !== undefined) select.value = value;
          return select;
        };
        const target = pick("target", columns.map((c) => [c, c]), columns.at(-1));
        const task = pick("which is a", [["classification", "class"], ["regression", "number"]]);
        const any = [["", "all others"], ...columns.map((c) => [c, c])];
        const [one, two] = [pick("inputs", any), pick("and", [["", "none"], ...any.slice(1)])];
        const use = html("button", { type: "button" }, row, `Use ${name}`);
        use.addEventListener("click", async () => {
          const query = new URLSearchParams({ name, target: target.value, task: task.value });
          for (const column of one.value ? [one.value, two.value] : []) if (column) query.append("column", column);
          const answer = await fetch(`/api/playground/csv?${query}`, { method: "POST", body: file });
          const found = await answer.json().catch(() => ({ message: `the server answered ${answer.status}` }));
          wrong.textContent = found.message ?? "";
          if (found.message) return;
          const classes = found.classes.length > 0;
          set({
            "data.name": "points", "data.points": found.points, "data.task": classes ? null : "regression",
            "data.classes": classes ? found.classes : null, "data.standardize": true, "data.standardize_target": classes ? null : true,
          });
        });
      };
      input.addEventListener("change", () => { if (input.files.length) take(input.files[0]); });
      for (const [event, over] of [["dragenter", true], ["dragover", true], ["dragleave", false], ["drop", false]]) {
        document.addEventListener(event, (moved) => {
          if (![...moved.dataTransfer?.types ?? []].includes("Files")) return;
          moved.preventDefault();
          box.classList.toggle("over", over);
          if (event === "drop" && moved.dataTransfer.files.length) take(moved.dataTransfer.files[0]);
        });
      }
    };

    // --- model ----------------------------------------------------------------------------------------

    const makeModel = () => {
      const model = group("Network");
      const layers = html("div", {}, model);
      const buttons = html("p", { class: "controls" }, model);
      const add = html("button", { type: "button" }, buttons, "Add a layer");
      const remove = html("button", { type: "button" }, buttons, "Remove the last");
      const wrong = html("p", { class: "wrong", id: "layers-wrong" }, model);
      const each = () => {
        const f = at("model.activation");
        return Array.isArray(f) ? f : at("model.hidden").map(() => f);
      };
      const give = (hidden, activations) => {
        const same = new Set(activations).size <= 1;
        set({ "model.hidden": hidden, "model.activation": same ? activations[0] ?? "relu" : activations });
      };
      add.addEventListener("click", () => {
        const hidden = at("model.hidden"), names = each();
        give([...hidden, hidden.at(-1) ?? 8], [...names, names.at(-1) ?? "tanh"]);
      });
      remove.addEventListener("click", () => give(at("model.hidden").slice(0, -1), each().slice(0, -1)));
      fields.set("model.hidden", {
        row: model, input: layers, wrong, when: () => true,
        show: () => {
          const hidden = at("model.hidden"), names = each();
          remove.disabled = hidden.length === 0;
          while (layers.children.length > hidden.length) layers.lastChild.remove();
          for (let i = layers.children.length; i < hidden.length; i++) {
            const row = html("div", { class: "layer" }, layers);
            html("span", {}, row, `${i + 1}.`);
            const width = html("input", { type: "text", inputmode: "numeric", "aria-label": `units of hidden layer ${i + 1}`, "aria-describedby": "layers-wrong" }, row);
            const f = html("select", { "aria-label": `activation of hidden layer ${i + 1}` }, row);
            for (const name of choices["model.activation"]) html("option", { value: name }, f, words(name));
            width.addEventListener("change", () => give(at("model.hidden").map((h, j) => (j === i ? read(width.value) ?? 1 : h)), each()));
            f.addEventListener("change", () => give(at("model.hidden"), each().map((n, j) => (j === i ? f.value : n))));
          }
          hidden.forEach((units, i) => {
            const [, width, f] = layers.children[i].children;
            if (document.activeElement !== width) width.value = units;
            width.setAttribute("aria-invalid", String(Boolean(state.errors["model.hidden"] ?? state.errors[`model.hidden.${i}`])));
            f.value = names[i];
          });
        },
      });
      numeric(model, "model.pieces", "pieces of a maxout unit", { when: () => each().includes("maxout") });
      choice(model, "model.parameterization", "parameterization", ["standard", "ntk", "mup"]);
      numeric(model, "model.sigma_w", "size of the start, σ of weights").placeholder = "by activation";
      const biases = numeric(model, "model.sigma_b", "σ of biases", {
        show: () => {
          biases.value = at("model.sigma_b") ?? "";
          biases.placeholder = at("model.parameterization") === "ntk" ? "0.1" : "0";
        },
      });
      check(model, "model.bias", "biases");
    };

    // --- loss, steps ------------------------------------------------------------------------------------

    const makeSteps = () => {
      const loss = group("Loss");
      choice(loss, "loss.name", "loss", ["cross_entropy", "squared_error"]);
      choice(loss, "loss.reduction", "over examples, its", ["mean", "sum"], { when: () => at("loss.name") === "squared_error" });
      choice(loss, "loss.regularization.name", "penalty", ["none", "l2", "l1", "elastic_net"]);
      numeric(loss, "loss.regularization.strength", "λ", { when: () => at("loss.regularization.name") !== "none" });
      const steps = group("Steps");
      choice(steps, "optimizer.name", "optimizer", choices["optimizer.name"], {
        onChange: (name) => set({ "optimizer.name": name, ...(name === "lbfgs" ? { "data.batch_size": "full" } : {}) }),
      });
      numeric(steps, "optimizer.lr", "step size η");
      track = html("div", { class: "track" }, fields.get("optimizer.lr").row);
      const range = html("input", { type: "range", min: -4, max: 1.5, step: 0.01, "aria-label": "step size η, logarithmic" }, track);
      const tell = () => { range.setAttribute("aria-valuetext", number(10 ** range.valueAsNumber, 3)); };
      range.addEventListener("input", () => { fields.get("optimizer.lr").input.value = Number((10 ** range.valueAsNumber).toPrecision(2)); tell(); });
      range.addEventListener("change", () => set({ "optimizer.lr": Number((10 ** range.valueAsNumber).toPrecision(2)) }));
      fields.get("optimizer.lr").show = () => {
        const lr = at("optimizer.lr");
        fields.get("optimizer.lr").input.value = lr ?? "";
        if (lr > 0) range.value = Math.log10(lr);
        tell();
      };
      limit = html("span", { class: "limit" }, track);
      numeric(steps, "optimizer.momentum", "momentum", { when: () => at("optimizer.name") === "sgd" });
      field(steps, "data.batch_size", "examples a step", (row, id) => {
        const input = html("input", { id, type: "text", list: "batch-sizes" }, row);
        const list = html("datalist", { id: "batch-sizes" }, row);
        for (const size of ["full", "1", "10", "50"]) html("option", { value: size }, list);
        input.addEventListener("change", () => set({ "data.batch_size": read(input.value) }));
        return input;
      });
      numeric(steps, "training.epochs", "epochs");
      numeric(steps, "seed", "seed of the start");
      numeric(steps, "data.split_seed", "seed of the data");
    };
    let track, limit;

    // --- showing ----------------------------------------------------------------------------------------

    const show = (next) => {
      state = next;
      const left = { ...state.errors };
      for (const [key, { row, input, wrong, when, show: fill }] of fields) {
        row.hidden = !when();
        if (row.hidden) continue;
        if (document.activeElement !== input || !state.errors[key]) fill();
        const found = Object.keys(left).find((k) => k === key || k.startsWith(`${key}.`)
          || (key === "model.hidden" && /^model\.(hidden|activation)/.test(k)));
        wrong.textContent = found ? left[found] : "";
        if (found) delete left[found];
        if (input.matches("input, select")) input.setAttribute("aria-invalid", String(Boolean(found)));
      }
      return Object.values(left);
    };

    return {
      begin: (names) => { choices = names; makeData(); makeModel(); makeSteps(); },
      show,
      words,
      at: (key) => at(key),
      /** Marks the largest step size on the slider; null takes the mark away. */
      limit: (value, said) => {
        const place = value > 0 ? (Math.log10(value) + 4) / 5.5 : NaN;
        limit.hidden = !Number.isFinite(place);
        if (limit.hidden) return;
        const share = Math.min(1, Math.max(0, place));
        limit.textContent = `${said} = ${number(value, 3)}`;
        limit.style.left = `calc(${(100 * share).toFixed(2)}% + ${(0.5 - share).toFixed(3)} * 1rem)`;
        limit.classList.toggle("left", share < 0.3);
        limit.classList.toggle("right", share > 0.7);
      },
    };
  },
});
/** A drawn function to begin with. */
nnlab.form.level = () => Array.from({ length: 17 }, (_, i) => [(i - 8) / 8, Number(Math.sin((Math.PI * (i - 8)) / 8).toFixed(3))]);
