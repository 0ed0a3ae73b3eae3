/** The console's only script: it follows the log of the object whose page is open. Without it the page is the same, and stands still. */
export const SCRIPT = `
const feed = document.querySelector('[data-follow]')
const state = document.querySelector('[data-follow-state]')
if (feed) {
  let last = Number(feed.dataset.last)
  const follow = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch(feed.dataset.follow + '?after=' + last, { headers: { accept: 'text/html' } })
        if (!answer.ok) throw new Error(answer.status)
        const rows = document.createElement('template')
        rows.innerHTML = await answer.text()
        const fresh = rows.content.querySelectorAll('tr')
        for (const row of fresh) feed.prepend(row)
        last = Number(answer.headers.get('x-last-lsn') ?? last)
        while (feed.children.length > 200) feed.lastElementChild.remove()
        state.textContent = 'live'
      } catch (error) {
        state.textContent = 'not live: ' + error.message
      }
    }
    setTimeout(follow, 1000)
  }
  follow()
}
`
