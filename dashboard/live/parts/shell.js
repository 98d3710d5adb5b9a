// Runs before Streamlit, on every page. A plain script, not a module: it must come first.

;(function () {
  // the pages lie side by side, below whatever path a proxy puts before them
  const base = new URL(".", window.location.href).href
  window.__streamlit = { ...window.__streamlit, BACKEND_BASE_URL: base }

  window.basinLive = new URL("..", document.currentScript.src).href

  // Streamlit writes all of the address whenever a script of the server writes a part of it: with
  // what it knew as the page opened, not with what the modules have kept there since
  const kept = new Set()
  const plain = history.replaceState.bind(history)
  for (const name of ["pushState", "replaceState"]) {
    const write = history[name].bind(history)
    history[name] = (state, title, target) => {
      const address = new URL(target ?? window.location.href, window.location.href)
      if (address.pathname !== window.location.pathname) return write(state, title, target)
      const now = new URL(window.location.href).searchParams
      for (const key of kept) {
        address.searchParams.delete(key)
        for (const value of now.getAll(key)) address.searchParams.append(key, value)
      }
      // no step back to the same place
      const isSame = address.href === window.location.href
      return (isSame ? plain : write)(state, title, address)
    }
  }
  window.basinKeep = (key, address) => {
    kept.add(key)
    plain(history.state, "", address)
  }

  const APP = '[data-testid="stApp"]'
  const STATE = "data-test-connection-state"
  // of Streamlit's own: those of the pages hold a block of elements
  const MODAL = '[data-testid="stDialog"]:not(:has([data-testid="stVerticalBlock"]))'
  const OWN = ".bl-note.connection:not([hidden])"
  const WORDS =
    "Basin does not answer: it was stopped, or cannot be reached from here. " +
    "The page shows what it had, and goes on by itself once Basin is back."
  const PATIENCE = 1500
  let note = null
  let wasThere = false
  let since = null

  /** True once the server, which was there, has been away for longer than a moment. */
  function isAwayNow() {
    const state = document.querySelector(APP)?.getAttribute(STATE)
    wasThere ||= state === "CONNECTED"
    if (!wasThere || state === undefined || state === "CONNECTED") {
      since = null
      return false
    }
    since ??= performance.now()
    if (performance.now() - since >= PATIENCE) return true
    setTimeout(look, PATIENCE)
    return false
  }

  /** Streamlit's dialog asks whether there is internet and covers what is said here instead. */
  function look() {
    const isAway = isAwayNow()
    document.documentElement.classList.toggle("basin-is-away", isAway)
    if (isAway) document.querySelector(`${MODAL} button[aria-label="Close"]`)?.click()
    const isWanted = isAway && document.querySelector(OWN) === null
    if (isWanted && note === null) {
      note = document.createElement("div")
      note.className = "basin-away"
      note.setAttribute("role", "alert")
      note.textContent = WORDS
      document.body.append(note)
    } else if (!isWanted && note !== null) {
      note.remove()
      note = null
    }
  }

  // blocks of text as `elements.code` draws them
  document.addEventListener("click", ({ target }) => {
    const button = target.closest?.(".basin-copy")
    if (!button) return
    const say = (word) => {
      button.textContent = word
      setTimeout(() => (button.textContent = "Copy"), 1500)
    }
    const copied = navigator.clipboard?.writeText(button.nextElementSibling.textContent)
    if (copied)
      copied.then(
        () => say("Copied"),
        () => say("Select it"),
      )
    else say("Select it")
  })

  let isDue = false
  new MutationObserver(() => {
    if (isDue) return
    isDue = true
    setTimeout(() => {
      isDue = false
      look()
    }, 250)
  }).observe(document, { childList: true, subtree: true, attributeFilter: [STATE] })
})()
