// One shop: its data in the six stores and in a table of its own, each change with its event.

import {
  CDCDurableObject,
  ColumnarStore,
  DocumentStore,
  GraphStore,
  RelationalStore,
  TimeSeriesStore,
  VectorStore,
} from 'durable-outbox'
import { eq } from 'drizzle-orm'
import migrations from '../drizzle/migrations.js'
import { shopEvents } from './events.ts'
import { products } from './products.ts'

interface Customer {
  name: string
  email: string
}

export interface Product {
  id: string
  title: string
  cents: number
  pieces: number
  /** What it looks like, as three numbers: an embedding would have more. */
  look: number[]
}

interface Sale {
  product: string
  cents: number
}

export class Shop extends CDCDurableObject<Env, {}, typeof shopEvents> {
  private readonly customers = new DocumentStore<Customer>(this.ctx, 'Customer', { indexes: ['email'] })
  private readonly catalog = new RelationalStore(this.ctx, { products }, { migrations })
  private readonly referrals = new GraphStore(this.ctx, 'Referrals')
  private readonly stock = new TimeSeriesStore(this.ctx, 'Stock', { retention: '90d' })
  private readonly looks = new VectorStore(this.ctx, 'Looks', { dimension: 3 })
  private readonly sales = new ColumnarStore<Sale>(this.ctx, 'Sales', { partitionBy: 'product' })

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    ctx.storage.sql.exec(
      'CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, customer TEXT, email TEXT, product TEXT, state TEXT)',
    )
    this.ctx.capture('orders', { redact: { email: 'mask' } })
  }

  protected override configure() {
    return { events: shopEvents }
  }

  signUp(name: string, email: string, referredBy?: string): string {
    return this.ctx.transactionSync((tx) => {
      const { $id } = this.customers.create({ name, email })
      if (referredBy !== undefined) this.referrals.relate({ from: referredBy, to: $id, type: 'referred' })
      tx.emit({ type: 'Customer.signedUp', data: { customer: $id } })
      return $id
    })
  }

  stockUp({ id, title, cents, pieces, look }: Product): void {
    this.ctx.transactionSync(() => {
      this.catalog.upsert(products, { id, title, cents, pieces })
      this.looks.upsert({ id, content: title, embedding: look })
      this.stock.put(id, pieces)
    })
  }

  /** @throws {Error} if there is nothing left of the product: then neither the order nor any event of it is there. */
  order(customer: string, product: string): Promise<string> {
    return this.ctx.transaction((tx) => {
      const order = tx.txid
      const email = this.customers.get(customer)?.email ?? null
      tx.execute('INSERT INTO orders VALUES (?, ?, ?, ?, ?)', order, customer, email, product, 'placed')
      const found = this.catalog.select().from(products).where(eq(products.id, product)).get()
      if (found === undefined || found.pieces === 0) throw new Error(`${product} is sold out`)
      const pieces = found.pieces - 1
      this.catalog.update(products).set({ pieces }).where(eq(products.id, product)).run()
      this.stock.put(product, pieces)
      this.sales.insertBatch([{ product, cents: found.cents }])
      tx.emit({ type: 'Order.placed', data: { order, product, cents: found.cents, currency: 'EUR' } })
      return order
    })
  }

  /** What looks most like a product. */
  similarTo(look: number[]): string[] {
    return this.looks.search({ embedding: look, limit: 3 }).map(({ id }) => id)
  }

  turnover(): unknown {
    return this.sales.aggregate({ groupBy: 'product', metrics: ['count', 'sum:cents'] })
  }

  orders(): Record<string, SqlStorageValue>[] {
    return this.ctx.storage.sql.exec('SELECT * FROM orders ORDER BY id').toArray()
  }
}
