/*
 * What nng 1.5.2 forgets when something closes at the wrong moment, told to LeakSanitizer: a
 * message that it holds for a server that dies, and a pipe that connects as its dialer closes. The
 * link option -u makes every program with nng take this file; one that has its own list keeps it.
 */
#ifdef __SANITIZE_ADDRESS__
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
    return "leak:wire_pack_call\n"
           "leak:ipc_ep_dial_cb\n"
           "leak:ipc_ep_init_dialer\n";
}
#endif
