// Ways to repeat an answer: its link, the command line, and Python.

import { make } from "../parts/dom.js"

/** Words that YAML reads as text, as they are. */
const PLAIN = /^[A-Za-z_./][\w./-]*$/
const NOT_TEXT = /^(true|false|null|yes|no|on|off|y|n)$/i
const SHELL_SAFE = /^[\w./:=@%+,-]+$/

/** The fields of an answer's question that differ from their defaults; parts of a kind whole. */
export function changed(config, defaults) {
  const differs = ([name, value]) =>
    JSON.stringify(value ?? null) !== JSON.stringify(defaults[name] ?? null)
  return Object.fromEntries(Object.entries(config).filter(differs))
}

/** The line of a shell that asks the same. */
export function commandOf({ run, ability, seed, config }, defaults) {
  const sets = Object.entries(changed(config, defaults)).map(([name, value]) => {
    const plain = typeof value === "string" && PLAIN.test(value) && !NOT_TEXT.test(value)
    return `--set ${quoted(`${name}=${plain ? value : JSON.stringify(value)}`)}`
  })
  return ["basin ask", run, ability, `--seed ${seed}`, ...sets].join(" ")
}

/** The lines of Python that ask the same, beside Basin's own home. */
export function pythonOf({ run, ability, seed, config }, defaults) {
  const fields = literal(changed(config, defaults))
  return [
    "from jobs.models import answering",
    `answer = answering.answer(${literal(run)}, ${literal(ability)}, ${fields}, seed=${seed})`,
  ].join("\n")
}

/** The address that asks the same, with its answer where there is one. */
export function linkOf({ run, ability, seed, config, id }, defaults, page) {
  const address = new URL(page)
  const fields = changed(config, defaults)
  address.search = new URLSearchParams({
    run,
    ability,
    answer: id,
    seed,
    ...(Object.keys(fields).length ? { config: JSON.stringify(fields) } : {}),
  })
  return address.href
}

/** All three, each with a button that copies it. */
export function repeats(answer, defaults, page) {
  const ways = {
    link: linkOf(answer, defaults, page),
    command: commandOf(answer, defaults),
    Python: pythonOf(answer, defaults),
  }
  const rows = Object.entries(ways).map(([name, text]) =>
    make(
      "div.bl-repeat",
      {},
      make("span.bl-muted", {}, name),
      // the shell's own listener copies what stands beside such a button
      make(
        "div.basin-code",
        {},
        make("button.basin-copy", { type: "button", "aria-label": `Copy the ${name}` }, "Copy"),
        make("pre", { tabIndex: 0 }, text),
      ),
    ),
  )
  const head = make("header", {}, make("h2", {}, "Repeat it"), make("span.bl-muted", {}, SAME))
  return make("section.bl-panel.bl-repeats", {}, head, ...rows)
}

const SAME = "same seed, same answer"

function quoted(text) {
  return SHELL_SAFE.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}

function literal(value) {
  if (value === null) return "None"
  if (value === true) return "True"
  if (value === false) return "False"
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`
  if (typeof value === "object") {
    const items = Object.entries(value).map(([key, item]) => `${literal(key)}: ${literal(item)}`)
    return `{${items.join(", ")}}`
  }
  return JSON.stringify(value)
}
