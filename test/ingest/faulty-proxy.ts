// A TCP proxy between a client and a server that does to each request what a network may do.

import { connect, createServer, type Server, type Socket } from 'node:net'
import { findFreePort } from '../../proofs/harness/runtime.ts'

/**
 * What becomes of a request: it is passed on; broken off in its middle; or passed on, and then its answer is lost, broken
 * off in its middle or late; or it reaches the server twice.
 */
export const FAULTS = ['pass', 'cut request', 'lose answer', 'truncate answer', 'delay', 'duplicate'] as const
export type Fault = (typeof FAULTS)[number]

const DELAY_MS = 150

export class FaultyProxy {
  readonly url: string
  /** What the next requests meet, in order; then all are passed on. */
  faults: Fault[] = []
  readonly #server: Server
  readonly #target: number
  readonly #sockets = new Set<Socket>()

  private constructor(port: number, target: number) {
    this.url = `http://127.0.0.1:${port}`
    this.#target = target
    this.#server = createServer((client) => this.#serve(client))
    this.#server.listen(port, '127.0.0.1')
  }

  /** @param target the port of the server. */
  static async start(target: number): Promise<FaultyProxy> {
    return new FaultyProxy(await findFreePort(), target)
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
  }

  #serve(client: Socket): void {
    const server = this.#open(connect(this.#target, '127.0.0.1'))
    this.#open(client)
    let fault: Fault = 'pass'
    let request: Buffer[] = []
    const end = (): void => {
      client.destroy()
      server.destroy()
    }
    client.on('data', (chunk: Buffer) => {
      if (chunk.subarray(0, 5).toString() === 'POST ') {
        fault = this.faults.shift() ?? 'pass'
        request = []
      }
      request.push(chunk)
      if (fault !== 'cut request') return server.write(chunk)
      server.write(chunk.subarray(0, chunk.length / 2))
      return setImmediate(end)
    })
    server.on('data', (chunk: Buffer) => {
      switch (fault) {
        case 'lose answer':
          return end()
        case 'truncate answer':
          client.write(chunk.subarray(0, chunk.length / 2))
          return setImmediate(end)
        case 'delay':
          return setTimeout(() => client.write(chunk), DELAY_MS)
        case 'duplicate':
          this.#open(connect(this.#target, '127.0.0.1')).end(Buffer.concat(request))
          fault = 'pass'
          return client.write(chunk)
        default:
          return client.write(chunk)
      }
    })
    client.on('close', end)
    server.on('close', end)
  }

  #open(socket: Socket): Socket {
    this.#sockets.add(socket)
    // What breaks is what the proxy is for.
    socket.on('error', () => undefined)
    socket.on('close', () => this.#sockets.delete(socket))
    return socket
  }
}
