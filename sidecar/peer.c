#include "sidecar/peer.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void read_executable(struct peer *out)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%lld/exe", (long long)out->pid);
    ssize_t n = readlink(path, out->executable, sizeof(out->executable) - 1);
    out->executable[n > 0 ? n : 0] = '\0';
}

static enum err find_unix(int fd, struct peer *out)
{
    struct ucred credentials;
    socklen_t size = sizeof(credentials);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0 || credentials.pid <= 0) {
        return ERR_NOT_FOUND;
    }
    out->pid = credentials.pid;
    out->uid = credentials.uid;
    out->gid = credentials.gid;
    read_executable(out);
    return OK;
}

/* ---- TCP: the kernel knows the socket at the other end, /proc who holds it
 * ------------------------ */

static bool fill_request(int fd, struct inet_diag_req_v2 *r)
{
    struct sockaddr_storage own = {0}, other = {0};
    socklen_t own_size = sizeof(own), other_size = sizeof(other);
    if (getsockname(fd, (struct sockaddr *)&own, &own_size) != 0 ||
        getpeername(fd, (struct sockaddr *)&other, &other_size) != 0 ||
        (own.ss_family != AF_INET && own.ss_family != AF_INET6)) {
        return false;
    }
    r->sdiag_family = (uint8_t)own.ss_family;
    r->sdiag_protocol = IPPROTO_TCP;
    r->idiag_states = ~0U;
    r->id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
    r->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    if (own.ss_family == AF_INET) {
        const struct sockaddr_in *a = (const struct sockaddr_in *)&other;
        const struct sockaddr_in *b = (const struct sockaddr_in *)&own;
        r->id.idiag_sport = a->sin_port;
        r->id.idiag_dport = b->sin_port;
        r->id.idiag_src[0] = a->sin_addr.s_addr;
        r->id.idiag_dst[0] = b->sin_addr.s_addr;
    } else {
        const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)&other;
        const struct sockaddr_in6 *b = (const struct sockaddr_in6 *)&own;
        r->id.idiag_sport = a->sin6_port;
        r->id.idiag_dport = b->sin6_port;
        memcpy(r->id.idiag_src, &a->sin6_addr, sizeof(a->sin6_addr));
        memcpy(r->id.idiag_dst, &b->sin6_addr, sizeof(b->sin6_addr));
    }
    return true;
}

/* sock_diag(7): one exact question. The inode of the peer's socket, 0 when it is not of this host.
 */
static uint32_t ask_kernel(int netlink, int fd, struct peer *out)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 request;
    } question = {.header = {.nlmsg_len = sizeof(question),
                             .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                             .nlmsg_flags = NLM_F_REQUEST}};
    _Alignas(struct nlmsghdr) char answer[1024];
    if (!fill_request(fd, &question.request) ||
        send(netlink, &question, sizeof(question), 0) != (ssize_t)sizeof(question)) {
        return 0;
    }
    ssize_t n = recv(netlink, answer, sizeof(answer), 0);
    const struct nlmsghdr *h = (const struct nlmsghdr *)answer;
    if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct inet_diag_msg)) ||
        h->nlmsg_type != SOCK_DIAG_BY_FAMILY) {
        return 0;
    }
    const struct inet_diag_msg *m = NLMSG_DATA(h);
    out->uid = m->idiag_uid;
    return m->idiag_inode;
}

static enum err find_tcp(struct holders *holders, int fd, struct peer *out)
{
    int netlink = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (netlink < 0) {
        return ERR_NOT_FOUND;
    }
    uint32_t inode = ask_kernel(netlink, fd, out);
    (void)close(netlink);
    out->pid = inode == 0 ? -1 : holders_find(holders, inode, out->uid);
    if (out->pid < 0) {
        return ERR_NOT_FOUND;
    }
    read_executable(out);
    return OK;
}

enum err peer_find(struct holders *holders, int fd, struct peer *out)
{
    int domain = 0;
    socklen_t size = sizeof(domain);
    *out = (struct peer){.pid = -1, .uid = -1, .gid = -1};
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) {
        return ERR_NOT_FOUND;
    }
    return domain == AF_UNIX ? find_unix(fd, out) : find_tcp(holders, fd, out);
}
