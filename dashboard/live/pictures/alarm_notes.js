// The alarms of a run under its head, each to be dismissed with a word; those dismissed, in one line.

import { make } from "../parts/dom.js"
import { count } from "../parts/formatting.js"

/** What is said of a dismissed alarm: its first sentence, the word, who and when. */
export function dismissedWords({ message, why, by, when }) {
  const moment = new Date(when * 1000).toLocaleString("en-GB", {
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
  })
  const [first] = message.split(/(?<=\.) /)
  return `Dismissed ${[by && `by ${by}`, moment].filter(Boolean).join(", ")}: “${why}” · ${first}`
}

/** How many sentences of an alarm are read at once where several stand: what, and its figures. */
const SENTENCES = 2

/** Words at once and those behind a button, where several alarms stand. */
export function partsOf(message, isAlone) {
  const sentences = message.split(/(?<=\.) (?=[A-Z])/)
  const most = isAlone ? sentences.length : SENTENCES
  return [sentences.slice(0, most).join(" "), sentences.slice(most).join(" ")]
}

/** Notes of a status. `onLook(path, why)`: an alarm is dismissed; raised again where why is null. */
export function alarmNotes({ alarms = [], dismissed = [] }, onLook) {
  return [
    ...alarms.map((alarm) => standing(alarm, alarms.length === 1, onLook)),
    ...dismissed.map((alarm) =>
      make(
        "div.bl-note.info",
        {},
        `${dismissedWords(alarm)} `,
        act("Raise it again", () => onLook(alarm.path, null)),
      ),
    ),
  ]
}

function standing({ path, message, step }, isAlone, onLook) {
  const why = make("input.bl-why", {
    type: "text",
    maxLength: 500,
    placeholder: "Why it is no alarm",
  })
  why.setAttribute("aria-label", "Why it is no alarm")
  const form = make(
    "form.bl-row",
    { hidden: true },
    why,
    make("button.bl-quiet", { type: "submit", textContent: "Dismiss" }),
  )
  form.onsubmit = (event) => {
    event.preventDefault()
    if (why.value.trim()) onLook(path, why.value.trim())
  }
  const open = act("Dismiss with a word", () => {
    form.hidden = !form.hidden
    if (!form.hidden) why.focus()
  })
  const head = make("b", {}, `Step ${count(step)}: `)
  const [words, rest] = partsOf(message, isAlone)
  const behind = make("span", { hidden: true }, `${rest} `)
  const more = act("more", () => {
    behind.hidden = !behind.hidden
    more.textContent = behind.hidden ? "more" : "less"
    more.setAttribute("aria-expanded", String(!behind.hidden))
  })
  more.setAttribute("aria-expanded", "false")
  const note = make("div.bl-note.warning", {}, head, `${words} `, behind, open, form)
  if (rest) open.before(more)
  note.classList.toggle("bl-among", !isAlone)
  note.dataset.path = path
  return note
}

function act(words, onClick) {
  const link = make("button.bl-quiet", { type: "button", textContent: words })
  link.onclick = onClick
  return link
}
