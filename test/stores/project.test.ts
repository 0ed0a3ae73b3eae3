// The program of docs/stores.md.

import { env } from 'cloudflare:workers'
import { runInDurableObject } from 'cloudflare:test'
import { expect, it } from 'vitest'
import type { Project } from '../../examples/project.ts'

it('[I1] [I2] changes three stores and emits its events, in one transaction', async () => {
  await runInDurableObject<Project, void>(env.PROJECTS.getByName('apollo'), (project) => {
    const { $id } = project.tasks.create({ title: 'Land' })
    expect(project.finish($id, 'User/neil')).toMatchObject({ title: 'Land', done: true })
    const [created, ...finished] = project.outbox.list().items
    expect(created?.lsn).toBe(1)
    expect(finished.map(({ lsn, type, table, actor }) => [lsn, type, table, actor])).toEqual([
      [2, 'cdc.update', 'Task', 'User/neil'],
      [3, 'cdc.insert', 'People.relationships', 'User/neil'],
      [4, 'cdc.insert', 'Load', 'User/neil'],
      [5, 'Task.finished', undefined, 'User/neil'],
    ])
    expect(new Set(finished.map(({ txid }) => txid)).size).toBe(1)
    expect(() => project.finish('no such task', 'User/neil')).toThrow(/there is no document/)
    expect(project.outbox.stats().lastLSN).toBe(5)
  })
})
