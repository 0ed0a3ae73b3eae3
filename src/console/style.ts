/** The console's style sheet. */
export const STYLE = `
:root { color-scheme: light dark; --ground: #fff; --text: #1b1f24; --quiet: #57606a; --line: #d0d7de; --card: #f6f8fa;
  --link: #0550ae; --good: #116329; --bad: #a40e26; --warn: #7d4e00; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #0d1117; --text: #e6edf3; --quiet: #9aa4af; --line: #30363d; --card: #161b22; --link: #79b8ff;
    --good: #56d364; --bad: #ff8f86; --warn: #e3b341; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
header { display: flex; flex-wrap: wrap; gap: 1rem; align-items: center; padding: .6rem 1rem; border-bottom: 1px solid var(--line); }
header strong { margin-right: auto; }
header form { margin: 0; }
main { max-width: 76rem; margin: 0 auto; padding: 1rem; }
a { color: var(--link); }
h1 { font-size: 1.3rem; margin: .2rem 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .5rem; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
[aria-current] { font-weight: 600; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: .6rem; margin: 0; }
.cards div { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .5rem .7rem; }
dt { color: var(--quiet); font-size: .85rem; }
dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { background: var(--card); font-weight: 600; white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
td.number, time { font-variant-numeric: tabular-nums; white-space: nowrap; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { margin: .3rem 0 0; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
.good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); } .quiet { color: var(--quiet); }
.note { border: 1px solid var(--line); border-left: 4px solid var(--link); border-radius: 6px; background: var(--card); padding: .6rem .8rem; }
.note.bad { border-left-color: var(--bad); color: var(--text); }
form.row { display: flex; flex-wrap: wrap; gap: .5rem; align-items: end; margin: .6rem 0; }
label { display: grid; font-size: .85rem; color: var(--quiet); }
input, select, button { font: inherit; color: var(--text); background: var(--ground); border: 1px solid var(--quiet); border-radius: 6px; padding: .3rem .6rem; }
button { cursor: pointer; background: var(--card); }
ins { text-decoration: none; color: var(--good); } del { color: var(--bad); }
details summary { cursor: pointer; }
.sign-in { max-width: 24rem; margin: 10vh auto; }
`
