// A client of a tail, as a program in a test has it: it keeps all that it was sent, and acknowledges it, unless it is told to
// read nothing.

import { env } from 'cloudflare:workers'
import type { CommittedEvent } from 'durable-outbox'
import type { TailMessage } from 'durable-outbox/tail'

type Message = TailMessage<CommittedEvent>

export interface TailClient {
  readonly messages: Message[]
  readonly events: CommittedEvent[]
  /** Code and reason, once it was closed. */
  closed: { code: number; reason: string } | undefined
  /** Acknowledges what was received, if it does not do so by itself. */
  acknowledge(): void
  send(text: string): void
  close(): void
}

/** The stub of the tail of an object. */
export function tailOfNotes(name: string) {
  return env.OUTBOX_TAIL.getByName(env.NOTES.idFromName(name).toString())
}

/** Connects to the tail itself, past the routes that check who asks. */
export async function connect(
  name: string,
  query: Record<string, string> = {},
  { acknowledges = true }: { acknowledges?: boolean } = {},
): Promise<TailClient> {
  const url = `https://tail/?${new URLSearchParams(query).toString()}`
  const response = await tailOfNotes(name).fetch(url, {
    headers: { upgrade: 'websocket', 'x-object-name': encodeURIComponent(name) },
  })
  const socket = response.webSocket
  if (socket === null) throw new Error(`${response.status} ${await response.text()}`)
  return clientOf(socket, acknowledges)
}

export function clientOf(socket: WebSocket, acknowledges: boolean): TailClient {
  let isOpen = true
  const client: TailClient = {
    messages: [],
    events: [],
    closed: undefined,
    acknowledge: () => socket.send(client.messages.at(-1)?.cursor ?? ''),
    send: (text) => socket.send(text),
    close: () => {
      isOpen = false
      socket.close()
    },
  }
  socket.addEventListener('message', ({ data }) => {
    // What was on its way when the client left.
    if (!isOpen) return
    const message = JSON.parse(String(data)) as Message
    client.messages.push(message)
    if (message.event !== undefined) client.events.push(message.event)
    if (acknowledges && message.ack && socket.readyState === WebSocket.OPEN) socket.send(message.cursor)
  })
  socket.addEventListener('close', ({ code, reason }) => {
    client.closed = { code, reason }
  })
  socket.accept()
  return client
}

export function lsnsOf({ events }: TailClient): number[] {
  return events.map(({ lsn }) => lsn)
}
