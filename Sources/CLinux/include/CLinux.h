// The few calls that Swift cannot make, and the C pod init. Declarations only; each .c file says what it owns.
#ifndef CLINUX_H
#define CLINUX_H
int clinux_placeholder(void);
#endif
