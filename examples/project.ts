import { CDCDurableObject, DocumentStore, GraphStore, TimeSeriesStore, VectorStore } from 'durable-outbox'

interface Task {
  title: string
  done?: boolean
}

export class Project extends CDCDurableObject {
  tasks = new DocumentStore<Task>(this.ctx, 'Task', { indexes: ['done'] })
  people = new GraphStore(this.ctx, 'People')
  load = new TimeSeriesStore(this.ctx, 'Load', { retention: '7d' })
  notes = new VectorStore(this.ctx, 'Note', { dimension: 3 })

  finish(id: string, by: string) {
    return this.ctx.transactionSync(
      (tx) => {
        const task = this.tasks.update(id, { done: true })
        this.people.relate({ from: by, to: id, type: 'finished' })
        this.load.put(by, 1)
        tx.emit({ type: 'Task.finished', data: { id } })
        return task
      },
      { actor: by },
    ) // four events, consecutive LSNs, one txid; or none of it
  }
}
