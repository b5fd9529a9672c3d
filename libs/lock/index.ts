export const x_lock = 1;
