import { join } from 'node:path'

/** Where the threads of a project are kept. */
export const registryPath = (projectPath: string): string => join(projectPath, '.ai', 'threads', 'registry.db')

/** Socket, lock and log of a user's host process. */
export const hostFolderOf = (userSpace: string): string => join(userSpace, 'host')
