// Stands between an engine and the Worker and records which of the table's files the engine reads: the only way that is
// the same for every engine.

import { once } from 'node:events'
import { createServer, request } from 'node:http'
import * as z from 'zod'

const addressShape = z.object({ port: z.int() })

export class Listener {
  readonly #read = new Set<string>()
  readonly #server
  /** The Worker's address through it. */
  url = ''

  private constructor(target: string) {
    this.#server = createServer((incoming, outgoing) => {
      const { method, url = '/', headers } = incoming
      if (method === 'GET' && url.endsWith('.parquet')) this.#read.add(url)
      // With the client's own Host header, which its signature covers.
      const forwarded = request(new URL(url, target).href, { method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(outgoing)
      })
      forwarded.once('error', () => outgoing.destroy())
      incoming.pipe(forwarded)
    })
  }

  static async start(target: string): Promise<Listener> {
    const listener = new Listener(target)
    listener.#server.listen(0, '127.0.0.1')
    await once(listener.#server, 'listening')
    listener.url = `http://127.0.0.1:${addressShape.parse(listener.#server.address()).port}`
    return listener
  }

  /** Runs an engine. @returns its answer, and how many data files it read. */
  async count<Answer>(engine: () => Promise<Answer>): Promise<{ answer: Answer; files: number }> {
    this.#read.clear()
    const answer = await engine()
    return { answer, files: this.#read.size }
  }

  stop(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}
