export const x_testing = 1;
