// A press outlives a redraw. A browser clicks where press and release meet on one element: a button
// drawn anew between them is not clicked, and one that had the focus loses it. Here the new one
// stands for the old.

const CONTROLS = "button, a[href], summary, input, label, select, th"
const SLIP = 6

/** Words of a control that hold before and after it is drawn anew. */
function markOf(control) {
  const { run, path } = control.closest("[data-run], [data-path]")?.dataset ?? {}
  const words = control.getAttribute("aria-label") ?? control.textContent.trim()
  return [control.tagName, words, control.getAttribute("href"), run, path].join("\n")
}

/** Its place in the tree below `root`, where its words may tick: "0/3/1". */
function placeOf(control, root) {
  const places = []
  for (let each = control; each && each !== root; each = each.parentElement)
    places.unshift([...(each.parentElement?.children ?? [])].indexOf(each))
  return places.join("/")
}

/** How a control is told again, once it is gone. */
export function noted(control, root) {
  return { control, mark: markOf(control), place: placeOf(control, root) }
}

/** The control below `root` that was drawn in place of one that is gone, or null where none can be
 * told for sure. */
export function twinOf({ control, mark, place }, root) {
  const alike = [...root.querySelectorAll(CONTROLS)].filter(
    ({ tagName }) => tagName === control.tagName,
  )
  const sameWords = alike.filter((each) => markOf(each) === mark)
  const samePlace = alike.find((each) => placeOf(each, root) === place)
  if (sameWords.length === 0) return samePlace ?? null
  if (sameWords.includes(samePlace)) return samePlace
  return sameWords.length === 1 ? sameWords[0] : null
}

/** Let a click, and the focus, outlive whatever `root` draws anew. */
export function keepPresses(root) {
  root.addEventListener("pointerdown", (down) => {
    const control = down.button === 0 ? down.target.closest?.(CONTROLS) : null
    if (!control) return
    const pressed = noted(control, root)
    const ended = new AbortController()
    const release = (up) => {
      ended.abort()
      const isStill = Math.hypot(up.clientX - down.clientX, up.clientY - down.clientY) < SLIP
      if (up.type !== "pointerup" || !isStill || control.isConnected) return
      const twin = twinOf(pressed, root)
      twin?.focus({ preventScroll: true })
      twin?.click()
    }
    for (const name of ["pointerup", "pointercancel"])
      window.addEventListener(name, release, { signal: ended.signal })
  })
  keepFocus(root)
}

function keepFocus(root) {
  let focused = null
  root.addEventListener("focusin", ({ target }) => {
    const control = target.closest?.(CONTROLS)
    focused = control ? noted(control, root) : null
  })
  root.addEventListener("focusout", ({ target }) =>
    // what is taken out of the page loses the focus too, and is gone by then
    setTimeout(() => {
      if (focused?.control === target && target.isConnected) focused = null
    }),
  )
  new MutationObserver(() => {
    if (!focused || focused.control.isConnected) return
    const isFree = document.activeElement === document.body || document.activeElement === null
    const twin = isFree ? twinOf(focused, root) : null
    focused = null
    twin?.focus({ preventScroll: true })
  }).observe(root, { childList: true, subtree: true })
}
