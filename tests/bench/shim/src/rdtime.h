/* rdtime.h - see rd.h. */
#pragma once
