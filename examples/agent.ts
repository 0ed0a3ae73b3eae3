// An outbox in a class that has a base of its own, such as one of the Agents SDK or PartyServer: by composition.

import { DurableObject } from 'cloudflare:workers'
import { DocumentStore, ExactlyOnceContext, type OutboxAdmin } from 'durable-outbox'

/** Stands for the framework's class. It knows nothing of an outbox, and may set the object's alarm for schedules of its own. */
class Agent extends DurableObject {
  override async alarm(): Promise<void> {
    // Runs what is due of its schedules.
  }

  protected greeting(): string {
    return 'Hello'
  }
}

interface Task {
  title: string
  done: boolean
}

export class TaskAgent extends Agent {
  cdc = new ExactlyOnceContext(this.ctx, {
    source: 'Agent/tasks',
    onAlarm: (name) => this.remind(name),
    baseAlarm: () => super.alarm(),
  })
  tasks = new DocumentStore<Task>(this.cdc, 'Task')

  /** The admin RPC, as a `CDCDurableObject` has it. */
  get outbox(): OutboxAdmin {
    return this.cdc.outbox
  }

  /** The one thing that has to be delegated: the context runs the relay, the named alarms and `baseAlarm`, each when it is due. */
  override alarm(info?: AlarmInvocationInfo): Promise<void> {
    return this.cdc.alarm(info)
  }

  add(title: string, remindAt: number) {
    return this.cdc.transaction((tx) => {
      const task = this.tasks.create({ title, done: false })
      tx.emit({ type: 'Task.added', data: { says: `${this.greeting()}, ${title}` } })
      this.cdc.alarms.set(task.$id, remindAt)
      return task
    })
  }

  remind($id: string): void {
    this.cdc.transactionSync((tx) => tx.emit({ type: 'Task.reminded', data: { $id } }))
  }
}
