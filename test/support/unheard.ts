/**
 * The inbox of a process that has died: a channel that nobody hears, and to which a user of Redis may publish who has the rights
 * of one feature alone. It does not have the name of an inbox, because commandDelta() hears those.
 */
export const unheard = (process: number | string = 'dead'): string => `:~unheard:${process}`;
