// Faults of the slide that is shown: letters too small, cut, or on top of each other.
(smallest) => {
  const faults = [];
  const part = document.querySelector(".current") ?? document.body;
  const seen = (e) => e.checkVisibility({ visibilityProperty: true }) && e.getClientRects().length > 0;
  const short = (e) => (e.textContent ?? "").replace(/\s+/g, " ").trim().slice(0, 60);
  const scale = (e) => {
    const svg = e.ownerSVGElement;
    return svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
  };
  const worded = [...document.querySelectorAll(".current *, .bar *")].filter((e) => !e.closest("math, script, option, title")
    && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) && seen(e));
  for (const e of worded) {
    const size = parseFloat(getComputedStyle(e).fontSize) * scale(e);
    if (size < smallest - 0.05) faults.push(`${size.toFixed(1)} px: ${e.localName} “${short(e)}”`);
  }
  const room = part.getBoundingClientRect();
  for (const e of part.querySelectorAll(":scope, .drawings, .drawings *, .words, .controls, .told")) {
    if (e.closest("svg") || !seen(e) || e.matches(".scroll, .scroll *")) continue;
    const [x, y] = [e.scrollWidth - e.clientWidth, e.scrollHeight - e.clientHeight];
    const scrolls = getComputedStyle(e).overflowY !== "visible";
    if (e.clientWidth && (x > 2 || (y > 2 && scrolls))) faults.push(`cut by ${x} × ${y} px: ${e.localName}.${e.className} “${short(e)}”`);
  }
  for (const svg of part.querySelectorAll(".drawings svg")) {
    if (!seen(svg) || svg.closest(".scroll")) continue;
    const outer = svg.getBoundingClientRect();
    const boxes = [...svg.querySelectorAll("text")].filter((t) => t.textContent.trim() && seen(t)).map((t) => [t, t.getBoundingClientRect()]);
    for (const [t, box] of boxes) {
      // The box of a text is higher than its letters.
      const out = Math.max(outer.left - box.left, box.right - outer.right, outer.top - box.top - 0.3 * box.height, box.bottom - outer.bottom - 0.3 * box.height);
      if (out > 4) faults.push(`${out.toFixed(0)} px outside of its drawing: “${short(t)}”`);
    }
    for (let i = 0; i < boxes.length; i++) {
      for (let j = 0; j < i; j++) {
        const [a, b] = [boxes[i][1], boxes[j][1]];
        const w = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const h = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (w > 2 && h > 0.3 * Math.min(a.height, b.height)) faults.push(`“${short(boxes[i][0])}” on top of “${short(boxes[j][0])}”`);
      }
    }
  }
  const [told, figure] = [part.querySelector(":scope > .told"), part.querySelector(":scope > figure")].map((e) => e?.getBoundingClientRect());
  if (told && figure && told.bottom > figure.top + 2 && figure.bottom > told.top) faults.push(`the figure begins ${(told.bottom - figure.top).toFixed(0)} px above the end of the sentence`);
  if (document.documentElement.scrollWidth > innerWidth) faults.push(`the page is ${document.documentElement.scrollWidth} px wide in a window of ${innerWidth}`);
  return faults;
}
