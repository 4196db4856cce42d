// The elements that the console's pages are made of: tables, dialogs and messages.
//
// Texts become text nodes, so nothing that a user wrote is read as markup. A dialog shows what went wrong beside the
// field it is about, in the unit of that field; what concerns no field stands above the buttons of the same dialog.
import { Refused } from "./api.js";
import { language, speak } from "./words.js";

/** @import { Attributes, Child, Field, Question } from "dream-api" */

/**
 * @param {string} tag
 * @param {Attributes} attributes
 * @param {Child[]} children
 * @returns {HTMLElement}
 */
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/**
 * @param {string} tag
 * @param {Attributes} attributes
 * @param {Child[]} children
 */
export function drawing(tag, attributes, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/**
 * @template {Element} E
 * @param {E} made
 * @param {Attributes} attributes
 * @param {Child[]} children
 * @returns {E}
 */
function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, String(value));
  }
  made.append(.../** @type {(Node | string)[]} */ (children.flat(5).filter((child) => child != null)));
  return made;
}

/**
 * @param {string} text
 * @param {(event: Event) => void} onclick
 */
export const button = (text, onclick, kind = "") => element("button", { type: "button", class: kind, onclick }, text);

/**
 * @param {string} kind
 * @param {Child[]} children
 */
export const cell = (kind, ...children) => element("td", { class: kind }, ...children);

export const yuan = (/** @type {number} */ fen) => `¥${(fen / 100).toFixed(2)}`;
export const time = (/** @type {string | null | undefined} */ at) => (at ? new Date(at).toLocaleString(language()) : "–");

// ---- Messages ---------------------------------------------------------------------------------------------------

// A popover is shown in the top layer, above the backdrop of an open dialog.
const message = element("div", { class: "said", role: "status", popover: "manual" });
document.body.append(message);
/** @type {ReturnType<typeof setTimeout> | undefined} */
let fading;

/** @param {string} text */
export function say(text, bad = false) {
  clearTimeout(fading);
  if (message.matches(":popover-open")) message.hidePopover();
  message.textContent = text;
  message.className = bad ? "said bad" : "said";
  if (!text) return;
  message.showPopover();
  fading = setTimeout(() => say(""), bad ? 8000 : 3000);
}

/**
 * Runs what was asked for and shows a failure of it.
 * @param {() => unknown} work
 */
export async function doing(work) {
  try {
    await work();
    return true;
  } catch (fault) {
    failed(fault);
    return false;
  }
}

/** @type {() => void} */
let onSignedOut = () => {};
export const whenSignedOut = (/** @type {() => void} */ then) => { onSignedOut = then; };

/** @param {unknown} fault */
function failed(fault) {
  if (fault instanceof Refused && fault.status === 401) {
    document.querySelector("dialog")?.close();
    onSignedOut();
  }
  const faults = fault instanceof Refused ? fault.faults : [];
  const fields = faults.map(({ field, message }) => `${field}: ${message}`).join("; ");
  say(fields || (fault instanceof Error ? fault.message : String(fault)), true);
}

// ---- Dialogs ----------------------------------------------------------------------------------------------------

/**
 * The amount in fen; `undefined` if it is no amount with at most two decimals.
 * @param {string} text
 */
export function fenOf(text) {
  const [, whole, part = ""] = /^¥?\s*(\d{1,9})(?:[.。](\d{1,2}))?$/.exec(text) ?? [];
  return whole === undefined ? undefined : Number(whole) * 100 + Number(part.padEnd(2, "0"));
}

/**
 * What is wrong with the text of a field, in the field's own unit.
 * @param {Field} field
 * @param {string} text
 */
function wrong(field, text) {
  if (text === "") return field.required ? speak("isRequired") : "";
  const number = field.kind === "yuan" ? fenOf(text) : field.kind === "integer" ? wholeOf(text) : 0;
  if (number === undefined) return speak(field.kind === "yuan" ? "isNoAmount" : "isNoInteger");
  if (number < (field.min ?? -Infinity) || number > (field.max ?? Infinity)) return outside(field);
  return "";
}

const wholeOf = (/** @type {string} */ text) => (/^[+-]?\d{1,12}$/.test(text) ? Number(text) : undefined);

/** @param {Field} field */
function outside({ kind, min, max }) {
  const shown = (/** @type {number} */ bound) => (kind === "yuan" ? yuan(bound) : String(bound));
  if (min !== undefined && max !== undefined) return speak("isOutside", { min: shown(min), max: shown(max) });
  return min === undefined ? speak("isAbove", { max: shown(max ?? 0) }) : speak("isBelow", { min: shown(min) });
}

/** @param {Field} field */
function input(field) {
  if (field.kind === "choice") {
    return element("select", { name: field.name }, (field.choices ?? []).map((choice) =>
      element("option", { value: choice, selected: choice === field.value }, choice)));
  }
  const mode = field.kind === "yuan" ? "decimal" : field.kind === "integer" && (field.min ?? 0) >= 0 ? "numeric" : null;
  return element("input", { name: field.name, type: "text", inputmode: mode, value: field.value ?? "", autocomplete: "off" });
}

/**
 * Asks for a few fields, then does what it is about. It stays open, with what was entered, until that succeeds.
 * @param {Question} question
 * @param {() => void} done
 */
export function ask({ title, about = [], fields = [], confirm, dangerous = false, onchange, act }, done) {
  const rows = fields.map((field, at) => {
    const entry = /** @type {HTMLInputElement} */ (input(field));
    const fault = element("span", { class: "fault", id: `fault-${at}`, role: "alert" });
    entry.setAttribute("aria-describedby", fault.id);
    const label = element("label", {}, field.label, entry);
    return { field, entry, fault, whole: element("div", { class: "field" }, label, field.hint ? element("span", { class: "soft" }, field.hint) : null, fault) };
  });
  const general = element("p", { class: "fault", role: "alert" });
  const given = () => Object.fromEntries(rows.map(({ field, entry }) => [field.name, entry.value.trim()]));
  const show = (/** @type {typeof rows[number]} */ row, /** @type {string} */ text) => {
    row.fault.textContent = text;
    row.entry.toggleAttribute("aria-invalid", text !== "");
  };
  const check = () => {
    rows.forEach((row) => show(row, wrong(row.field, row.entry.value.trim())));
    const bad = rows.find((row) => row.fault.textContent);
    bad?.entry.focus();
    return !bad;
  };
  /** @param {unknown} fault */
  const refuse = (fault) => {
    if (!(fault instanceof Refused) || fault.status === 401) return failed(fault);
    /** @type {string[]} */
    const others = [];
    for (const { field: name, code, message } of fault.faults) {
      const row = rows.find(({ field }) => field.name === name);
      if (row) show(row, code === "RANGE" && row.field.kind === "yuan" ? outside(row.field) : message);
      else others.push(`${name}: ${message}`);
    }
    const missing = fault.data && "pointsMissing" in fault.data ? speak("pointsMissing", { points: String(fault.data.pointsMissing) }) : "";
    general.textContent = fault.faults.length ? others.join("; ") : missing || fault.message;
    rows.find((row) => row.fault.textContent)?.entry.focus();
  };
  const main = /** @type {HTMLButtonElement} */ (element("button", { class: dangerous ? "main danger" : "main" }, confirm));
  const form = element(
    "form",
    {
      novalidate: true,
      oninput: () => onchange?.(given()),
      onsubmit: async (/** @type {Event} */ event) => {
        event.preventDefault();
        general.textContent = "";
        if (!check()) return;
        main.disabled = true;
        try {
          await act(given());
          dialog.close();
          say(speak("done"));
          done();
        } catch (fault) {
          refuse(fault);
        } finally {
          main.disabled = false;
        }
      },
    },
    element("h2", {}, title), about, rows.map(({ whole }) => whole), general,
    element("div", { class: "ends" }, button(speak("cancel"), () => dialog.close()), main),
  );
  const dialog = /** @type {HTMLDialogElement} */ (element("dialog", { "aria-label": title }, form));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/**
 * The lines of a dialog that name whom or what it is about.
 * @param {[string, string][]} facts
 */
export const facts = (facts) => element("dl", {}, facts.map(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));

/** @param {string} text */
export const consequence = (text) => element("p", { class: "consequence" }, text);

// ---- Lists ------------------------------------------------------------------------------------------------------

/**
 * A list that grows by a page whenever more is asked for.
 * @template T
 * @param {HTMLElement} list
 * @param {(cursor: string | undefined) => Promise<{ items: T[], nextCursor: string | null }>} load
 * @param {(item: T) => HTMLElement} row
 * @param {HTMLElement} empty
 */
export function pages(list, load, row, empty) {
  const more = /** @type {HTMLButtonElement} */ (button(speak("more"), () => {}));
  const foot = element("div", { class: "more", hidden: true }, more);
  const next = async (/** @type {string | undefined} */ cursor) => {
    more.disabled = true;
    await doing(async () => {
      const page = await load(cursor);
      list.append(...page.items.map(row));
      if (!list.children.length) list.append(empty);
      foot.hidden = !page.nextCursor;
      more.onclick = () => next(page.nextCursor ?? undefined);
    });
    more.disabled = false;
  };
  next(undefined);
  return foot;
}

/**
 * @param {string[]} heads
 * @param {HTMLElement} body
 */
export function table(heads, body) {
  const head = element("thead", {}, element("tr", {}, heads.map((text) => element("th", {}, text))));
  return element("div", { class: "scroll" }, element("table", {}, head, body));
}

/**
 * @template T
 * @param {string[]} heads
 * @param {(cursor: string | undefined) => Promise<{ items: T[], nextCursor: string | null }>} load
 * @param {(item: T) => HTMLElement} row
 */
export function growingTable(heads, load, row) {
  const body = element("tbody");
  const empty = element("tr", {}, element("td", { colspan: heads.length, class: "soft" }, speak("nothing")));
  return [table(heads, body), pages(body, load, row, empty)];
}
