// SPDX-License-Identifier: GPL-2.0
/*
 * An I2C adapter with one chip on it: a file of 256 registers and a pointer that counts up, as clocks and sensors have it.
 * Unlike the kernel's i2c-stub it answers plain transfers (I2C_RDWR), and the SMBus calls that the kernel makes of them.
 *
 *	insmod i2c-regs.ko address=0x68 regs=0x56,0x34,0x12
 */
#include <linux/i2c.h>
#include <linux/module.h>

static ushort address = 0x68;
module_param(address, ushort, 0444);
static u8 regs[256];
static int given;
module_param_array(regs, byte, &given, 0444);
static u8 at; /* the chip's pointer */

static int transfer(struct i2c_adapter *adapter, struct i2c_msg *messages, int n)
{
	int i, k;

	for (i = 0; i < n; i++) {
		struct i2c_msg *m = &messages[i];

		if (m->addr != address)
			return -ENXIO;
		for (k = 0; k < m->len; k++) {
			if (m->flags & I2C_M_RD)
				m->buf[k] = regs[at++];
			else if (k == 0)
				at = m->buf[0];
			else
				regs[at++] = m->buf[k];
		}
	}
	return n;
}

static u32 functionality(struct i2c_adapter *adapter)
{
	return I2C_FUNC_I2C | I2C_FUNC_SMBUS_EMUL;
}

static const struct i2c_algorithm algorithm = { .master_xfer = transfer, .functionality = functionality };
static struct i2c_adapter adapter = { .owner = THIS_MODULE, .name = "i2c-regs", .algo = &algorithm };

static int __init begin(void)
{
	return i2c_add_adapter(&adapter);
}

static void __exit end(void)
{
	i2c_del_adapter(&adapter);
}

module_init(begin);
module_exit(end);
MODULE_LICENSE("GPL");
