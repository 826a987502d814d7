// SPDX-License-Identifier: Apache-2.0
// What a container of `samara-bench image` runs.
int main(void) { return 0; }
