// Keys that belong to the field one types into: the page's own shortcuts do not see them.

/** Whether a key pressed in `target` is its own: Ctrl+Enter applies the text of an area of several
 * lines, and takes what is highlighted in a list that is open. */
export function isOfField(event) {
  const { target } = event
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return false
  if (target.tagName === "TEXTAREA" || target.isContentEditable) return true
  return target.getAttribute?.("aria-expanded") === "true"
}

// Below the document, where pages listen for shortcuts, and above the fields, which come first.
globalThis.document?.body.addEventListener("keydown", (event) => {
  if (isOfField(event)) event.stopPropagation()
})

// A line of text is taken as it stands before the page's shortcut acts on it.
globalThis.document?.body.addEventListener(
  "keydown",
  (event) => {
    const isApplied = event.key === "Enter" && (event.ctrlKey || event.metaKey)
    if (isApplied && event.target.tagName === "INPUT" && !isOfField(event)) event.target.blur()
  },
  { capture: true },
)
