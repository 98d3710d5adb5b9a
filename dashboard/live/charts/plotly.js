// Plotly, from its own wheel by way of this server. It is large: what needs it asks for it early.
// 4.8 MB, 1.47 as sent, once a day, on Run, Compare and a race alone. Its basic bundle has all that
// is used here in 1.1 MB, .37 as sent, but no wheel ships it: a copy here would have to be renewed
// by hand, out of step with the version that is installed.

let loading = null

/** The library, loaded once a page. */
export function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script")
    script.src = new URL("live/plotly.js", window.location.href).href
    script.onload = () => resolve(window.Plotly)
    script.onerror = () => reject(new Error("Plotly could not be loaded"))
    document.head.append(script)
  })
  return loading
}
