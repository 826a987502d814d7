// SPDX-License-Identifier: Apache-2.0
//
// Theory of operation
//
// The parts that a single-threaded event loop over epoll(7) is made of. There is deliberately no loop object with
// callbacks: a process owns an `Epoll`, a `TimerWheel` and its `Slab`s as plain stored properties, waits, and switches
// over the kind in the token of each event. So nothing is boxed, nothing escapes, and exclusive access is proven at
// compile time.
//
//      event → EventToken (kind, slot, generation) → slab[slot] if the generation still fits → state machine
//
// Invariants
// - A token names an object, not a descriptor. When an object goes, its slot's generation changes, so events of the
//   same batch and late events of a reused descriptor are recognised and dropped.
// - Nothing here wakes a process up by itself: the wheel yields a timeout only while a timer is armed.
// - After the high-water mark of objects has been reached once, no operation allocates.
