export const x_queue = 1;
