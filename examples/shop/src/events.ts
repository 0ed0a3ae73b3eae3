// What happens in a shop, beside the changes of its data.

import { defineEvents } from 'durable-outbox'
import * as z from 'zod'

export const shopEvents = defineEvents({
  'Customer.signedUp': z.object({ customer: z.string() }),
  'Order.placed': {
    data: z.object({ order: z.string(), product: z.string(), cents: z.int().min(0), currency: z.string() }),
    // The first orders had no currency.
    upcast: [(first) => ({ currency: 'EUR', ...first })],
  },
})

export const warehouseEvents = defineEvents({
  'Order.shipped': z.object({ order: z.string() }),
})
