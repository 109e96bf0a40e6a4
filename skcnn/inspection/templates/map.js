// Zooms the map, shows the name of an image on hover and on focus, and one class alone. Without it the map is whole.
"use strict";
(() => {
  const map = document.querySelector(".map"), plane = map.querySelector(".plane");
  const tools = document.querySelector(".tools"), card = document.querySelector(".card");
  const points = [...plane.querySelectorAll(".point")];
  const isShown = point => !point.classList.contains("off");  // Else the legend left its class out.
  const STEP = 1.5, LARGEST = 64;
  let zoom = 1;

  // A thumbnail is shown where it covers none of those that go before it; that depends on the zoom and on the window.
  const pictured = points.filter(point => "spacing" in point.dataset);
  pictured.sort((a, b) => b.dataset.spacing - a.dataset.spacing);
  const placeOf = new Map(pictured.map(point => [point, [point.style.left, point.style.top].map(parseFloat)]));
  function thin() {
    const size = parseFloat(getComputedStyle(plane).marginTop);
    const across = plane.clientWidth / 100, down = plane.clientHeight / 100;
    const shown = [];
    for (const point of pictured) {
      const [x, y] = placeOf.get(point);
      const covers = ([left, top]) => Math.abs(x - left) * across < size && Math.abs(y - top) * down < size;
      const isDot = !isShown(point) || shown.some(covers);
      if (!isDot) shown.push([x, y]);
      point.classList.toggle("dot", isDot);
    }
    const n = points.filter(isShown).length;
    tools.querySelector("output").textContent =
      shown.length < n ? `${shown.length.toLocaleString("en")} of ${n.toLocaleString("en")} images as thumbnails` : "";
    tools.querySelector("[data-zoom=whole]").disabled = tools.querySelector("[data-zoom=out]").disabled = zoom === 1;
    tools.querySelector("[data-zoom=in]").disabled = zoom === LARGEST;
  }

  function zoomTo(wanted, x = map.clientWidth / 2, y = map.clientHeight / 2) {
    const old = plane.clientWidth;
    const right = map.scrollLeft + x - plane.offsetLeft, down = map.scrollTop + y - plane.offsetTop;
    if (zoom === 1) map.style.height = `${map.offsetHeight}px`;
    zoom = Math.min(Math.max(wanted, 1), LARGEST);
    if (zoom === 1) map.style.height = "";
    plane.style.setProperty("--zoom", zoom);
    map.classList.toggle("zoomed", zoom > 1);
    const factor = plane.clientWidth / old;
    map.scrollLeft = right * factor + plane.offsetLeft - x;
    map.scrollTop = down * factor + plane.offsetTop - y;
    thin();
  }
  const wanted = { in: () => zoom * STEP, out: () => zoom / STEP, whole: () => 1 };
  tools.addEventListener("click", event => {
    const button = event.target.closest("[data-zoom]");
    if (button) zoomTo(wanted[button.dataset.zoom]());
  });
  map.addEventListener("wheel", event => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const box = map.getBoundingClientRect();
    zoomTo(zoom * STEP ** (-event.deltaY / 100), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  // On a telephone the window also changes its height while it is scrolled.
  let windowWidth = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== windowWidth) zoomTo(1);
    windowWidth = innerWidth;
  });

  // A mouse drags the map; fingers and touchpads scroll it by themselves.
  let from = null;
  map.addEventListener("pointerdown", event => {
    if (event.pointerType === "mouse" && event.button === 0 && zoom > 1)
      from = [event.clientX + map.scrollLeft, event.clientY + map.scrollTop];
  });
  addEventListener("pointermove", event => {
    if (from) map.scrollTo(from[0] - event.clientX, from[1] - event.clientY);
  });
  addEventListener("pointerup", () => { from = null; });
  map.addEventListener("dragstart", event => event.preventDefault());

  // The name of an image: one of them can be reached by Tab, the others from there by the arrow keys.
  const said = point => {
    const [label, ...rest] = [point.dataset.label, point.dataset.file].filter(Boolean);
    const frame = document.createElement("div"), text = document.createElement("div");
    frame.className = "frame";
    const image = point.querySelector("img");
    frame.append(image ? Object.assign(new Image(), { src: image.src, alt: "" }) : "no thumbnail");
    text.append(Object.assign(document.createElement("strong"), { textContent: label }));
    if (rest.length) text.append(Object.assign(document.createElement("span"), { textContent: rest[0] }));
    card.replaceChildren(frame, text);
  };
  let current = null;
  function makeCurrent(point) {
    if (current) current.tabIndex = -1;
    current = point;
    if (current) current.tabIndex = 0;
  }
  for (const point of points) {
    point.tabIndex = -1;
    point.setAttribute("role", "img");
    point.setAttribute("aria-label", point.title);
    point.removeAttribute("title");  // The card says it, at once.
  }
  const pointOf = event => event.target.closest(".point");
  plane.addEventListener("mouseover", event => { if (pointOf(event)) said(pointOf(event)); });
  plane.addEventListener("focusin", event => { makeCurrent(pointOf(event)); said(pointOf(event)); });
  plane.addEventListener("click", event => { pointOf(event)?.focus({ preventScroll: true }); });
  const WAYS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
  function next([right, down]) {
    let best = null, least = Infinity;
    for (const point of points) {
      if (!isShown(point)) continue;
      const x = point.offsetLeft + point.offsetWidth / 2 - current.offsetLeft - current.offsetWidth / 2;
      const y = point.offsetTop + point.offsetHeight / 2 - current.offsetTop - current.offsetHeight / 2;
      const along = x * right + y * down, across = Math.abs(x * down) + Math.abs(y * right);
      if (along > 0.5 && across <= along && along + 2 * across < least) [best, least] = [point, along + 2 * across];
    }
    return best;
  }
  plane.addEventListener("keydown", event => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key in WAYS) next(WAYS[event.key])?.focus();
    else if (event.key === "+") zoomTo(wanted.in());
    else if (event.key === "-") zoomTo(wanted.out());
    else if (event.key === "0") zoomTo(1);
    else return;
    event.preventDefault();
    if (!(event.key in WAYS)) current.scrollIntoView({ block: "nearest", inline: "nearest" });
  });

  // Classes of the legend become buttons: those pressed are shown, and all where none is.
  const entries = [...document.querySelectorAll(".legend li")];
  function choose() {
    const pressed = new Set(entries.filter(entry => entry.firstChild.ariaPressed === "true").map(e => e.dataset.class));
    for (const point of points) point.classList.toggle("off", pressed.size > 0 && !pressed.has(point.dataset.class));
    if (!current || !isShown(current))
      makeCurrent(pictured.find(isShown) ?? points.find(isShown) ?? null);
    thin();
  }
  for (const entry of entries) {
    const button = document.createElement("button");
    button.type = "button";
    button.ariaPressed = "false";
    button.append(...entry.childNodes);
    entry.append(button);
    button.addEventListener("click", () => {
      button.ariaPressed = String(button.ariaPressed !== "true");
      choose();
    });
  }

  card.textContent = "Point at an image, tap it, or go there with Tab and the arrow keys.";
  card.hidden = tools.hidden = false;
  choose();
})();
