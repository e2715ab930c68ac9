################################################################################
#
# gatekiosk
#
################################################################################

GATEKIOSK_VERSION = local
GATEKIOSK_SITE = $(BR2_EXTERNAL_GATEPOST_PATH)/..
GATEKIOSK_SITE_METHOD = local
GATEKIOSK_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = --exclude bin --exclude '*-data'
GATEKIOSK_LICENSE = Apache-2.0
GATEKIOSK_LICENSE_FILES = LICENSE

# The program has no C in it, so the machine's own Go will do: Buildroot's may be older than go.mod asks for.
define GATEKIOSK_BUILD_CMDS
	cd $(@D) && CGO_ENABLED=0 GOOS=linux GOARCH=arm64 GOFLAGS=-buildvcs=false \
		$(call qstrip,$(BR2_PACKAGE_GATEKIOSK_GO)) build -trimpath -ldflags="-s -w" \
		-o $(@D)/build/ ./cmd/gatekiosk
endef

define GATEKIOSK_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(@D)/build/gatekiosk $(TARGET_DIR)/usr/bin/gatekiosk
	echo $(BR2_PACKAGE_GATEKIOSK_RELEASE) >$(TARGET_DIR)/etc/gatepost-release
	$(if $(call qstrip,$(BR2_PACKAGE_GATEKIOSK_KEYS)),\
		mkdir -p $(TARGET_DIR)/etc/gatepost && \
		cp -r $(call qstrip,$(BR2_PACKAGE_GATEKIOSK_KEYS))/. $(TARGET_DIR)/etc/gatepost)
endef

# As whom the gate runs, once root's part has opened the way.
define GATEKIOSK_USERS
	gatepost 990 gatepost 990 * - - - Gate
endef

$(eval $(generic-package))
