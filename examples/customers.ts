import { CDCDurableObject, DocumentStore } from 'durable-outbox'

interface Customer {
  name: string
  email: string
}

export class Customers extends CDCDurableObject {
  customers = new DocumentStore<Customer>(this.ctx, 'Customer')

  async signUp(name: string, email: string) {
    return this.ctx.transaction(
      (tx) => {
        const customer = this.customers.create({ name, email }) // the row and its cdc.insert event
        tx.emit({ type: 'Customer.created', data: { customerId: customer.$id } })
        return customer // both, or neither
      },
      { actor: 'User/nathan' },
    )
  }
}
