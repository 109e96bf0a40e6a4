"use strict";
// Files go to the server one by one; answers are shown as text. Nothing is loaded from elsewhere.
const at = (id) => document.getElementById(id);
const models = new Map();

function made(tag, text, parent, className) {
  const element = document.createElement(tag);
  if (text !== null) element.textContent = text;
  if (className) element.className = className;
  parent.append(element);
  return element;
}

function complain(text) {
  at("problem").textContent = text;
  at("problem").hidden = !text;
}

async function asked(path, options = {}) {
  const headers = new Headers(options.headers);
  if (at("token").value) headers.set("authorization", `Bearer ${at("token").value}`);
  const response = await fetch(path, { ...options, headers });
  if (response.status === 401) at("locked").hidden = false;
  if (!response.ok && response.status !== 422) {
    let reason = response.statusText;
    try { reason = (await response.json()).error; } catch { /* it has no words of its own */ }
    throw new Error(response.status === 401 ? "This server requires a token." : reason);
  }
  return response;
}

async function listModels() {
  try {
    const answer = await (await asked("models")).json();
    models.clear();
    at("model").replaceChildren();
    for (const model of answer.models) {
      models.set(model.name, model);
      made("option", model.name, at("model"));
    }
    complain("");
    describe();
  } catch (error) {
    complain(error.message);
  }
}

function describe() {
  const model = models.get(at("model").value);
  const classes = model && model.classes ? model.classes.map(String) : [];
  const more = classes.length > 8 ? ", …" : "";
  at("about").textContent = classes.length ? `${classes.length} classes: ${classes.slice(0, 8).join(", ")}${more}` : "";
  at("about").hidden = !classes.length;
}

function asDataURL(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Error("The file cannot be read."));
    reader.readAsDataURL(blob);
  });
}

function bars(rows, parent) {
  const list = made("dl", null, parent, "bars");
  for (const row of rows) {
    const name = made("dt", null, list);
    made("i", null, name).style.width = `${100 * row.probability}%`;
    made("span", String(row.label), name);
    made("dd", `${(100 * row.probability).toFixed(1)} %`, list);
  }
}

function drawBoxes(boxes, shown) {
  const image = shown.querySelector("img");
  const place = () => {
    const [width, height] = [image.naturalWidth, image.naturalHeight];
    for (const box of boxes) {
      if (box.xmin === null || box.xmin === undefined) continue;
      const frame = made("i", null, shown);
      frame.title = `${box.label} ${Number(box.score).toFixed(2)}`;
      frame.style.left = `${100 * box.xmin / width}%`;
      frame.style.top = `${100 * box.ymin / height}%`;
      frame.style.width = `${100 * (box.xmax - box.xmin) / width}%`;
      frame.style.height = `${100 * (box.ymax - box.ymin) / height}%`;
    }
  };
  if (image && image.naturalWidth) place(); else if (image) image.onload = place;
}

function show(row, model, file, shown, text) {
  if (row.error) throw new Error(row.error);
  if (row.label !== undefined) text.querySelector("h2").textContent = [].concat(row.label).join(", ") || "none";
  if (row.top) bars(row.top, text);
  if (row.numbers) text.querySelector("h2").textContent = row.numbers.map((number) => number.toPrecision(4)).join(", ");
  if (row.boxes) {
    const found = row.boxes.filter((box) => box.score >= 0.3);
    text.querySelector("h2").textContent = found.length === 1 ? "1 object" : `${found.length} objects`;
    drawBoxes(found, shown);
    for (const box of found) made("p", `${box.label} ${Number(box.score).toFixed(2)}`, text, "file");
  }
  if (row.mask) {
    text.querySelector("h2").textContent = "Mask";
    made("p", "A grey value is the number of a class.", text, "file");
    shown.querySelector("img").src = `data:image/png;base64,${row.mask}`;
  }
  if (row.farther_than > 0.99) made("p", "Farther away than 99 % of the training images.", text, "hint");
  if (model.explain) {
    const button = made("button", "Where did it look?", text, "plain");
    button.type = "button";
    button.onclick = () => explain(button, row, model, file, shown);
  }
}

async function explain(button, row, model, file, shown) {
  button.disabled = true;
  button.textContent = "Looking …";
  try {
    const label = encodeURIComponent([].concat(row.label)[0]);
    const response = await asked(`explain/${encodeURIComponent(model.name)}?label=${label}`, {
      method: "POST", body: file, headers: { "content-type": "image/*" },
    });
    if (response.status === 422) throw new Error((await response.json()).error);
    shown.querySelector("img").src = await asDataURL(await response.blob());
    button.remove();
  } catch (error) {
    button.textContent = error.message;
  }
}

async function predict(file, before) {
  const model = models.get(at("model").value);
  if (!model) return;
  const item = document.createElement("li");
  at("results").insertBefore(item, before);
  const shown = made("div", null, item, "shown");
  const text = made("div", null, item);
  made("h2", "…", text);
  made("p", file.name, text, "file");
  try {
    const image = made("img", null, shown);
    image.alt = "";
    image.onerror = () => image.remove();
    image.src = await asDataURL(file);
    const form = new FormData();
    form.append("images", file);
    const answer = await (await asked(`predict/${encodeURIComponent(model.name)}`, { method: "POST", body: form })).json();
    if (answer.error) throw new Error(answer.error);
    show(answer.images[0], model, file, shown, text);
  } catch (error) {
    text.querySelector("h2").textContent = "Not predicted";
    made("p", error.message, text, "problem");
  }
}

async function predictAll(files) {
  complain("");
  if (!models.size) await listModels();
  const before = at("results").firstElementChild; // the newest files come first, in their order
  for (const file of files) await predict(file, before);
}

at("asked").onsubmit = (event) => { event.preventDefault(); listModels(); };
at("token").onchange = listModels;
at("model").onchange = describe;
at("files").onchange = async () => {
  await predictAll([...at("files").files]);
  at("files").value = "";
};
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") predictAll([...event.dataTransfer.files]);
  });
}
listModels();
