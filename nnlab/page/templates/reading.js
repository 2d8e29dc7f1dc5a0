"use strict";
// How the page is read: as notes, one idea below the other; as slides, one idea a screen; or a single figure.
//
// An address says which, and how the controls of its figure stand:
//   #weights?width=3          the idea in the notes
//   #slide=weights&width=3    the same as a slide
//   ?figure=widths#width=3    this figure alone, to be embedded in another page
(() => {
  const page = document.documentElement;
  const slides = () => [...document.querySelectorAll("[data-slide]")];
  const figureOf = (part) => part?.querySelector(":scope > figure") ?? null;
  let current = null, speaker = null, bar = null;

  const words = (part) => ((part.querySelector("h1, h2, h3") ?? part.querySelector("figcaption strong"))?.textContent ?? part.getAttribute("aria-label") ?? "").replace(/\s+/g, " ").trim();
  const query = (values) => new URLSearchParams(values).toString();

  // --- addresses ------------------------------------------------------------------------------------

  /** {slide, name, values} of the part of an address behind #. */
  const read = (hash) => {
    const text = hash.slice(1);
    if (text.startsWith("slide=")) {
      const { slide, ...values } = Object.fromEntries(new URLSearchParams(text));
      return { slide: true, name: slide, values };
    }
    const [name, rest = ""] = text.split("?");
    return { slide: false, name: decodeURIComponent(name), values: Object.fromEntries(new URLSearchParams(rest)) };
  };

  const addressOf = (part) => `#${query({ slide: part.id, ...nnlab.stateOf(figureOf(part)) })}`;

  /** Puts an address into the bar of the browser, without a step of its history. */
  const write = (hash) => {
    try {
      history.replaceState(null, "", hash);
    } catch {
      // some browsers allow a page from a file no history; the address is then as it was opened
    }
  };

  /** The controls of a figure as an address says; the figure is drawn for it. */
  const restore = (figure, values) => {
    if (!figure || Object.keys(values).length === 0) return;
    if (figure.matches(".widget")) nnlab.start(figure);
    nnlab.setState(figure, values);
  };

  // --- slides ---------------------------------------------------------------------------------------

  /** Puts a slide on the screen, or takes it away. */
  const mark = (part, on) => {
    part?.classList.toggle("current", on);
    figureOf(part)?.classList.toggle("full", on);
  };

  const show = (part, { focus = true } = {}) => {
    const all = slides();
    const at = all.indexOf(part);
    if (at < 0) return;
    mark(current, false);
    current = part;
    mark(part, true);
    for (const next of [part, all[at + 1]]) next?.querySelectorAll("figure.widget").forEach(nnlab.start);
    bar.at(at, all);
    write(addressOf(part));
    if (focus) part.focus({ preventScroll: true });
    tellSpeaker(all, at);
  };

  const turn = (by) => {
    const all = slides();
    show(all[Math.min(all.length - 1, Math.max(0, all.indexOf(current) + by))]);
  };

  /** The slide where the notes are being read. */
  const nearest = () => slides().find((part) => part.getBoundingClientRect().bottom > 80) ?? slides()[0];

  const enter = (part = nearest()) => {
    page.dataset.reading = "slides";
    bar ??= makeBar();
    show(part ?? slides()[0]);
  };

  const leave = () => {
    const part = current;
    close();
    delete page.dataset.reading;
    mark(current, false);
    current = null;
    if (!part) return;
    const state = query(nnlab.stateOf(figureOf(part)));
    write(`#${part.id}${state && `?${state}`}`);
    part.scrollIntoView();
    part.focus({ preventScroll: true });
  };

  const makeBar = () => {
    const made = nnlab.html("nav", { class: "bar", "aria-label": "slides" }, document.body);
    const button = (text, label, act) => {
      const b = nnlab.html("button", { type: "button", "aria-label": label, title: label }, made, text);
      b.addEventListener("click", act);
      return b;
    };
    button("◀", "previous slide (←)", () => turn(-1));
    const list = nnlab.html("select", { "aria-label": "slide" }, made);
    slides().forEach((part, i) => nnlab.html("option", { value: i }, list, `${i + 1}. ${words(part)}`));
    list.addEventListener("change", () => show(slides()[list.value], { focus: false }));
    const count = nnlab.html("span", { class: "count optional" }, made);
    button("▶", "next slide (→)", () => turn(1));
    const optional = (made) => made.classList.add("optional");
    optional(button("Speaker", "speaker's notes below the slide (S)", toggleNotes));
    optional(button("Window", "speaker's notes in a window of their own (W)", openSpeaker));
    button("Notes", "back to the notes (Esc)", leave);
    const progress = nnlab.html("progress", { "aria-label": "progress", max: 1, value: 0 }, made);
    return {
      at: (i, all) => {
        list.value = i;
        count.textContent = `${i + 1} / ${all.length}`;
        progress.max = all.length;
        progress.value = i + 1;
      },
    };
  };

  // --- the speaker ----------------------------------------------------------------------------------

  const toggleNotes = () => {
    page.toggleAttribute("data-speaker");
  };

  const notesOf = (part) => part?.querySelector(".speaker") ?? null;

  /** A second window with the notes of the slide, the title of the next one, and the time since it was opened. */
  const openSpeaker = () => {
    speaker = open("", "speaker", "width=900,height=700");
    if (!speaker) {
      nnlab.told("The browser does not allow a second window: press S for the notes below the slide.");
      return;
    }
    const begun = Date.now();
    const body = speaker.document.body;
    speaker.document.title = "Speaker's notes";
    body.replaceChildren();
    body.style.cssText = "font: 22px/1.4 system-ui, sans-serif; margin: 1.5rem; color-scheme: light dark";
    for (const [name, tag] of [["time", "p"], ["title", "h1"], ["notes", "div"], ["next", "p"]]) body.append(Object.assign(speaker.document.createElement(tag), { id: name }));
    const clock = setInterval(() => {
      if (speaker.closed) { clearInterval(clock); return; }
      const seconds = Math.floor((Date.now() - begun) / 1000);
      speaker.document.getElementById("time").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    }, 1000);
    speaker.addEventListener("keydown", (event) => { if (keys(event.key)) event.preventDefault(); });
    const all = slides();
    tellSpeaker(all, all.indexOf(current));
  };

  const tellSpeaker = (all, at) => {
    if (!speaker || speaker.closed) return;
    const put = (name, text) => { speaker.document.getElementById(name).textContent = text; };
    put("title", words(all[at]));
    put("next", all[at + 1] ? `Next: ${words(all[at + 1])}` : "The last slide.");
    const notes = notesOf(all[at])?.childNodes ?? [];
    speaker.document.getElementById("notes").replaceChildren(...[...notes].map((node) => speaker.document.importNode(node, true)));
  };

  // --- one figure, large ----------------------------------------------------------------------------

  let enlarged = null;

  const enlarge = (figure) => {
    close();
    enlarged = figure;
    figure.classList.add("full", "enlarged");
    const button = nnlab.html("button", { type: "button", class: "close" }, figure, "Close");
    button.addEventListener("click", close);
    button.focus({ preventScroll: true });
  };

  const close = () => {
    if (!enlarged) return false;
    enlarged.querySelector("button.close")?.remove();
    enlarged.classList.remove("enlarged");
    enlarged.classList.toggle("full", figureOf(current) === enlarged);
    enlarged.querySelector(".tools button")?.focus({ preventScroll: true });
    enlarged = null;
    return true;
  };

  const embedded = (figure) => {
    const file = decodeURIComponent(location.pathname.split("/").pop()) || "report.html";
    const state = query(nnlab.stateOf(figure));
    const address = `${encodeURIComponent(file)}?figure=${encodeURIComponent(figure.dataset.name)}${state && `#${state}`}`;
    const title = figure.querySelector("figcaption strong")?.textContent ?? figure.querySelector("img")?.alt ?? "figure";
    const quoted = title.replace(/[&"<>]/g, (c) => `&#${c.charCodeAt(0)};`);
    return `<iframe src="${address}" title="${quoted}" width="960" height="600" style="border: 0"></iframe>`;
  };

  const copied = async (text, what) => {
    try {
      await navigator.clipboard.writeText(text);
      nnlab.told(`${what} is copied.`);
    } catch {
      nnlab.told(text);
    }
  };

  const addTools = (figure) => {
    const tools = nnlab.html("p", { class: "tools" }, figure);
    const button = (text, label, act) => nnlab.html("button", { type: "button", title: label }, tools, text).addEventListener("click", act);
    button("Enlarge", "as large as the window", () => enlarge(figure));
    button("Embed", "copies an iframe for another page", () => copied(embedded(figure), "The iframe"));
    const part = figure.closest("[data-slide]");
    if (part) button("Link", "copies the address of its slide as it stands now", () => copied(location.href.split(/[?#]/)[0] + addressOf(part), "The address"));
    let from = null;
    figure.addEventListener("pointerdown", (event) => { from = [event.clientX, event.clientY]; });
    figure.addEventListener("click", (event) => {
      const drawing = event.target.closest("img, .drawings svg");
      const own = event.target.closest(".handle, [data-own], [tabindex]:not([data-slide]):not(.scroll)");
      const moved = from && Math.hypot(event.clientX - from[0], event.clientY - from[1]) > 5;
      if (!drawing || own || moved || event.defaultPrevented || page.dataset.reading === "figure") return;
      if (enlarged === figure) close();
      else enlarge(figure);
    });
  };

  // --- a glossary on hover --------------------------------------------------------------------------

  const addGlossary = () => {
    const tip = nnlab.html("div", { role: "tooltip", id: "tip", hidden: true }, document.body);
    const hide = () => { tip.hidden = true; };
    const tell = (term) => {
      const meaning = document.getElementById(`word-${term.dataset.word}`);
      if (!meaning) return;
      tip.textContent = meaning.textContent;
      tip.hidden = false;
      const [at, size] = [term.getBoundingClientRect(), tip.getBoundingClientRect()];
      tip.style.left = `${Math.max(8, Math.min(at.left, innerWidth - size.width - 8))}px`;
      tip.style.top = `${at.bottom + size.height + 12 > innerHeight ? Math.max(8, at.top - size.height - 6) : at.bottom + 6}px`;
      term.setAttribute("aria-describedby", "tip");
    };
    for (const [on, act] of [["pointerover", tell], ["focusin", tell], ["click", tell], ["pointerout", hide], ["focusout", hide]]) {
      document.addEventListener(on, (event) => {
        const term = event.target.closest?.("button.term");
        if (term) act(term);
      });
    }
    return { hide: () => { const shown = !tip.hidden; hide(); return shown; } };
  };

  // --- paper ----------------------------------------------------------------------------------------

  addEventListener("beforeprint", () => {
    if (page.dataset.reading !== "slides") return;
    page.dataset.print = "";
    slides().forEach((part, i, all) => {
      mark(part, true);
      part.classList.toggle("last", i === all.length - 1);
    });
    nnlab.redrawAll();
  });
  addEventListener("afterprint", () => {
    if (!("print" in page.dataset)) return;
    delete page.dataset.print;
    slides().forEach((part) => mark(part, part === current));
  });

  // --- keys -----------------------------------------------------------------------------------------

  const TURNS = { ArrowRight: 1, PageDown: 1, " ": 1, ArrowLeft: -1, PageUp: -1, Home: -Infinity, End: Infinity };

  /** Acts on a key of the slides; tells whether it was one. */
  const keys = (key) => {
    if (page.dataset.reading !== "slides") return false;
    if (key in TURNS) turn(TURNS[key]);
    else if (key === "s" || key === "S") toggleNotes();
    else if (key === "w" || key === "W") openSpeaker();
    else if (key === "Escape") leave();
    else return false;
    return true;
  };

  document.addEventListener("DOMContentLoaded", () => {
    const tip = addGlossary();
    document.querySelectorAll("figure[data-name]").forEach(addTools);
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (event.key === "Escape" && (tip.hide() || close())) return;
      const control = event.target.closest("input, select, textarea, button, summary, a, [role=slider]");
      if (control && event.key === "Escape" && page.dataset.reading === "slides") { control.blur(); current.focus({ preventScroll: true }); return; }
      if (control && !["PageDown", "PageUp"].includes(event.key)) return;
      if (keys(event.key)) event.preventDefault();
    });
    const toSlides = nnlab.html("button", { type: "button", class: "to-slides" }, document.querySelector("header"), "Show as slides");
    toSlides.addEventListener("click", () => enter());

    const only = new URLSearchParams(location.search).get("figure");
    const alone = only && document.querySelector(`figure[data-name="${CSS.escape(only)}"]`);
    if (only && !alone) nnlab.told(`This page has no figure “${only}”.`);
    if (alone) {
      page.dataset.reading = "figure";
      document.body.append(alone);
      alone.classList.add("full");
      if (alone.matches(".widget")) nnlab.start(alone);
      nnlab.setState(alone, Object.fromEntries(new URLSearchParams(location.hash.slice(1))));
    }

    const follow = () => {
      if (alone) return;
      const { slide, name, values } = read(location.hash);
      const part = name ? document.getElementById(name) : null;
      for (let fold = part?.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
      restore(figureOf(part), values);
      if (slide) enter(part?.matches("[data-slide]") ? part : slides()[0]);
      else if (part) {
        if (page.dataset.reading === "slides") leave();
        part.scrollIntoView();
      }
    };
    addEventListener("hashchange", follow);
    if (location.hash.length > 1) follow();

    let waiting = 0;
    for (const changed of ["input", "change"]) {
      document.addEventListener(changed, (event) => {
        if (!current?.contains(event.target)) return;
        clearTimeout(waiting);
        waiting = setTimeout(() => { if (current) write(addressOf(current)); }, 200);
      });
    }
  });
})();
