#ifndef CLINUX_POD_H
#define CLINUX_POD_H
#endif
