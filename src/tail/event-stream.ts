// A tail as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). The Worker is a client of the
// tail like any other, by a socket, and passes on what it gets: so the tail sleeps here too, and a client that reads slowly
// acknowledges slowly. The id of each event is its cursor, which a browser sends back as Last-Event-ID when it connects again.

import type { TailMessage } from './messages.ts'

/** Something is sent so often, so that a connection on which nothing else happens is not taken for dead, and one that is dead ends. */
const HEARTBEAT_MS = 20_000

export function eventStream(socket: WebSocket): Response {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  const writer = writable.getWriter()
  const encoder = new TextEncoder()
  let last = Promise.resolve()

  const end = () => {
    clearInterval(heartbeat)
    socket.close()
  }
  /** One after the other. It resolves once the client has taken the text. */
  const write = (text: string): Promise<void> => {
    last = last.then(() => writer.write(encoder.encode(text)))
    last.catch(end)
    return last
  }
  const heartbeat = setInterval(() => void write(':\n\n').catch(() => undefined), HEARTBEAT_MS)

  socket.addEventListener('message', ({ data }) => {
    // What the tail has sent.
    const message = JSON.parse(String(data)) as TailMessage
    write(eventText(message)).then(
      () => message.ack && socket.send(message.cursor),
      () => undefined,
    )
  })
  socket.addEventListener('close', ({ code, reason }) => {
    clearInterval(heartbeat)
    write(`event: closed\ndata: ${JSON.stringify({ code, reason })}\n\n`)
      .then(() => writer.close())
      .catch(() => undefined)
  })
  socket.accept()
  return new Response(readable, {
    headers: { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' },
  })
}

/** A message with a cursor alone is an event of a name that a browser hears only if it asks for it; but its id counts. */
function eventText({ cursor, event, began }: TailMessage): string {
  if (event !== undefined) return `id: ${cursor}\ndata: ${JSON.stringify(event)}\n\n`
  if (began !== undefined) return `id: ${cursor}\nevent: began\ndata: ${JSON.stringify({ epoch: began })}\n\n`
  return `id: ${cursor}\nevent: cursor\ndata: {}\n\n`
}
