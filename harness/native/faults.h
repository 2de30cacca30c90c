/* Ways to break this engine on purpose, each switched on by a flag of the compiler, to prove that the suite
 * would notice. Without a flag nothing of this is compiled.
 *
 * FAULT_TRAINING_AFTER_LAYOUT   memory is laid out before anybody asks for training: gradient offsets stay 0,
 *                               backward has nowhere to add, and the update skips silently
 * FAULT_UPDATE_IN_BACKWARD      backward ends with an update, and update makes another one
 * FAULT_ATTENTION_DOUBLES_INPUT attention is output = 2 * input; no token sees another
 * FAULT_RACE                    threads add to the shared gradient of the embedding without waiting for each
 *                               other, and lose updates
 * FAULT_RANDOM_LOGITS           the inference path makes logits up
 * FAULT_SLOW_START              creating an engine takes seconds
 * FAULT_SEGFAULT, FAULT_ABORT, FAULT_ENDLESS_LOOP   the third update crashes, aborts, or never returns */
#ifndef FAULTS_H
#define FAULTS_H

void fault_slow_start(void);
void fault_crash(long updates);

#endif
